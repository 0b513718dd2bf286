//! Where media lie: on the web, or in a data URI itself. Must not know fields.

use std::borrow::Cow;

use super::hub::Source;

/// Media type and source of what a URI leads to; `None` for one that leads
/// nowhere. Of the web's the type is not known.
pub fn source(uri: Cow<'_, str>) -> Option<(Cow<'_, str>, Source<'_>)> {
    if is_web(&uri) {
        return Some((Cow::Borrowed(""), Source::Url(uri)));
    }
    data(uri).map(|(media_type, data)| (media_type, Source::Base64(data)))
}

#[must_use]
pub fn is_web(uri: &str) -> bool {
    uri.starts_with("https://") || uri.starts_with("http://")
}

/// Media type and base64 of a data URI.
pub fn data(uri: Cow<'_, str>) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    let head = uri.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"))?.len();
    let comma = memchr::memchr(b',', uri.as_bytes())?;
    let meta = uri[head..comma].strip_suffix(";base64")?;
    let media_type = meta.split(';').next().unwrap_or_default().to_ascii_lowercase();
    // Many write it so, and no provider takes it.
    let media_type =
        if media_type == "image/jpg" { "image/jpeg".into() } else { media_type.into() };
    let data = match uri {
        Cow::Borrowed(uri) => Cow::Borrowed(&uri[comma + 1..]),
        Cow::Owned(mut uri) => {
            uri.drain(..=comma);
            Cow::Owned(uri)
        }
    };
    Some((media_type, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_lead_somewhere() {
        let check = |uri: &str, expected: Option<(&str, Source<'_>)>| {
            let expected = expected.map(|(kind, source)| (Cow::Borrowed(kind), source));
            assert_eq!(source(uri.into()), expected, "{uri}");
            assert_eq!(source(uri.to_owned().into()), expected, "{uri}");
        };
        let base64 = |data: &'static str| Source::Base64(data.into());
        check("data:image/png;base64,QQ==", Some(("image/png", base64("QQ=="))));
        check("DATA:Image/JPG;charset=x;base64,QQ", Some(("image/jpeg", base64("QQ"))));
        check("data:;base64,", Some(("", base64(""))));
        check("data:image/png,QQ", None);
        check("data:image/png;base64", None);
        check("data:text/plain,a;base64,QQ", None);
        check("https://a.b/c.png", Some(("", Source::Url("https://a.b/c.png".into()))));
        check("file:///a", None);
        check("", None);
        check("dat\u{e4}:", None);
    }
}
