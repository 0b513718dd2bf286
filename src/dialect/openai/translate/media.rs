//! Images, files and sounds, written as parts of a chat message. What cannot be
//! sent is vital: without it the question would be another one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::dialect::hub::{Media, MediaKind, Source, Untranslatable};

use super::messages::text_part;
use super::write::Writing;

impl Writing<'_, '_> {
    pub fn media(&mut self, media: &Media<'_>) -> Result<(), Untranslatable> {
        match media.kind {
            MediaKind::Image => self.image(media),
            MediaKind::Document => self.document(media),
            MediaKind::Audio => self.audio(media),
        }
    }

    fn image(&mut self, media: &Media<'_>) -> Result<(), Untranslatable> {
        let kind = &media.media_type;
        let json = self.json.open(b'{').text("type", "image_url").key("image_url").open(b'{');
        match &media.source {
            Source::Base64(data) => {
                json.key("url").display(&format_args!("data:{kind};base64,{data}"));
            }
            Source::Url(url) => _ = json.text("url", url),
            Source::Text(_) => {
                return Err(Untranslatable::new("images", "an image that is text"));
            }
        }
        if let Some(detail) = &media.detail {
            json.text("detail", detail);
        }
        json.close(b'}').close(b'}');
        Ok(())
    }

    fn document(&mut self, media: &Media<'_>) -> Result<(), Untranslatable> {
        let kind = &media.media_type;
        match &media.source {
            Source::Text(text) => self.titled(media, text),
            Source::Base64(data) if kind.starts_with("text/") => {
                let bytes = BASE64.decode(data.as_bytes()).unwrap_or_default();
                let text = String::from_utf8(bytes).ok().filter(|text| !text.is_empty());
                let unreadable = || Untranslatable::new("documents", "a text that is not UTF-8");
                self.titled(media, &text.ok_or_else(unreadable)?);
            }
            Source::Base64(data) => {
                let name = media.name.as_deref().unwrap_or("document.pdf");
                let json = self.json.open(b'{').text("type", "file").key("file").open(b'{');
                json.text("filename", name).key("file_data");
                json.display(&format_args!("data:{kind};base64,{data}")).close(b'}').close(b'}');
            }
            Source::Url(_) => {
                return Err(Untranslatable::new("documents", "a document by its URL"));
            }
        }
        Ok(())
    }

    fn titled(&mut self, media: &Media<'_>, text: &str) {
        match &media.name {
            Some(name) => text_part(&mut self.json, &format!("{name}\n\n{text}")),
            None => text_part(&mut self.json, text),
        }
    }

    fn audio(&mut self, media: &Media<'_>) -> Result<(), Untranslatable> {
        let format = match &*media.media_type {
            "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
            "audio/mp3" | "audio/mpeg" => "mp3",
            _ => return Err(Untranslatable::new("audio", "neither wav nor mp3")),
        };
        let Source::Base64(data) = &media.source else {
            return Err(Untranslatable::new("audio", "audio by its URL"));
        };
        let json = self.json.open(b'{').text("type", "input_audio").key("input_audio").open(b'{');
        json.text("data", data).text("format", format).close(b'}').close(b'}');
        Ok(())
    }
}
