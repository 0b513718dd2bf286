//! JSON pointers (RFC 6901), taken apart. What they point into is no concern of
//! this module.

use std::borrow::Cow;

/// Why a text is no pointer.
pub type Flaw = &'static str;

/// The longest pointer that is looked at, in bytes.
const LONGEST: usize = 1024;

/// The unescaped tokens of a pointer.
pub fn tokens(pointer: &str) -> Result<Vec<Cow<'_, str>>, Flaw> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    if pointer.len() > LONGEST {
        return Err("the pointer is longer than 1024 bytes");
    }
    let rest = pointer.strip_prefix('/').ok_or("a pointer begins with a slash")?;
    rest.split('/').map(token).collect()
}

fn token(raw: &str) -> Result<Cow<'_, str>, Flaw> {
    if !raw.contains('~') {
        return Ok(Cow::Borrowed(raw));
    }
    let rest = raw.replace("~0", "").replace("~1", "");
    if rest.contains('~') {
        return Err("in a pointer, ~ is followed by 0 or 1");
    }
    Ok(Cow::Owned(raw.replace("~1", "/").replace("~0", "~")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_taken_apart() {
        let check = |pointer: &str, expected: Result<&[&str], Flaw>| {
            let found = tokens(pointer).map(|all| all.into_iter().map(Cow::into_owned).collect());
            let expected = expected.map(|all| all.iter().map(ToString::to_string).collect());
            assert_eq!(found, expected as Result<Vec<String>, Flaw>, "{pointer}");
        };
        check("", Ok(&[]));
        check("/", Ok(&[""]));
        check("/a/0/b", Ok(&["a", "0", "b"]));
        check("/a~1b/c~0d/~01", Ok(&["a/b", "c~d", "~1"]));
        check("a", Err("a pointer begins with a slash"));
        check("/a~2", Err("in a pointer, ~ is followed by 0 or 1"));
        check("/a~", Err("in a pointer, ~ is followed by 0 or 1"));
        check(&"/a".repeat(513), Err("the pointer is longer than 1024 bytes"));
    }
}
