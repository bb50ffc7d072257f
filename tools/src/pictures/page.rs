//! A page that shows pictures, in one file.

use std::fmt::Write as _;
use std::iter::repeat;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bigrain_encoders::{DecodeOptions, RgbImage};
use bigrain_engine::ScoredPoint;

use super::source::PictureSource;

/// The longer side of a picture on the page, in pixels.
const THUMBNAIL: usize = 200;

const STYLE: &str = "body{font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:75em;\
padding:0 1em;color:#222;background:#fafafa}h1{font-size:1.4em}h2{font-size:1.1em;margin:1.6em 0 .4em}\
.row{display:flex;flex-wrap:wrap;gap:12px}figure{margin:0;width:210px;padding:8px;background:#fff;\
border:1px solid #ddd;border-radius:6px}figure img{display:block;margin:auto;max-width:200px}\
figcaption{margin-top:6px;overflow-wrap:anywhere}small{color:#777}";

/// A page of rows of pictures. Nothing on it is fetched from elsewhere.
#[derive(Debug)]
pub struct Page {
    body: String,
    decode: DecodeOptions,
}

/// A picture on a page.
#[derive(Clone, Copy, Debug)]
pub struct PagePicture<'a> {
    /// Where it is.
    pub source: &'a PictureSource,
    /// What is said of it.
    pub text: &'a str,
    /// A line below that.
    pub note: &'a str,
    /// Where in it the text is, as the bytes of a PNG.
    pub heat: Option<&'a [u8]>,
}

impl Page {
    /// Starts a page with a title; pictures are decoded as `decode` says.
    #[must_use]
    pub fn new(title: &str, decode: DecodeOptions) -> Self {
        Self { body: format!("<h1>{}</h1>\n", escape(title)), decode }
    }

    /// Adds a row under a heading, with the picture that was asked with, if it was one.
    pub fn row<'p>(
        &mut self,
        heading: &str,
        asked: Option<&PictureSource>,
        pictures: impl IntoIterator<Item = PagePicture<'p>>,
    ) {
        let _ = write!(self.body, "<h2>{}</h2>\n<div class=\"row\">\n", escape(heading));
        if let Some(source) = asked {
            self.picture(PagePicture { source, text: "asked with", note: "", heat: None });
        }
        for picture in pictures {
            self.picture(picture);
        }
        self.body.push_str("</div>\n");
    }

    /// Adds a row of what was found, with where in the pictures the text is, if that is known.
    pub fn results(
        &mut self,
        heading: &str,
        asked: Option<&PictureSource>,
        points: &[ScoredPoint],
        heat: &[Option<Vec<u8>>],
    ) {
        let notes: Vec<String> = points
            .iter()
            .map(|point| {
                let path = point.payload.text("path").unwrap_or_default();
                format!("{:.4} {path}", point.score)
            })
            .collect();
        let sources: Vec<PictureSource> =
            points.iter().map(|point| PictureSource::of(&point.payload)).collect();
        let heat = heat.iter().map(Option::as_deref).chain(repeat(None));
        let pictures = points.iter().zip(&sources).zip(&notes).zip(heat).map(
            |(((point, source), note), heat)| PagePicture {
                source,
                text: point.payload.text("text").unwrap_or_default(),
                note,
                heat,
            },
        );
        self.row(heading, asked, pictures);
    }

    fn picture(&mut self, picture: PagePicture<'_>) {
        let shown = match thumbnail(picture.source, &self.decode) {
            Some(data) => format!("<img alt=\"\" src=\"data:image/jpeg;base64,{data}\">"),
            // It may have been moved since it was indexed.
            None => format!("<em>{} cannot be shown</em>", escape(&picture.source.to_string())),
        };
        let heat = picture.heat.map_or_else(String::new, |png| {
            format!("<img alt=\"\" src=\"data:image/png;base64,{}\">", STANDARD.encode(png))
        });
        let (text, note) = (escape(picture.text), escape(picture.note));
        let _ = writeln!(
            self.body,
            "<figure>{shown}{heat}<figcaption>{text}<br><small>{note}</small></figcaption></figure>"
        );
    }

    /// Returns the whole page.
    #[must_use]
    pub fn into_html(self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>bigrain</title>\
             <style>{STYLE}</style></head><body>\n{}</body></html>\n",
            self.body
        )
    }
}

/// A small version of a picture, in base64; `None` if it cannot be read.
fn thumbnail(source: &PictureSource, decode: &DecodeOptions) -> Option<String> {
    let image: RgbImage = source.decode(decode).ok()?;
    Some(STANDARD.encode(image.thumbnail(THUMBNAIL).to_jpeg()?))
}

/// A text as HTML has it, between tags and in quotes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_its_pictures_and_no_tag_of_a_caption() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jpg");
        let image = RgbImage::new(400, 100, [9, 9, 200].repeat(40_000)).unwrap();
        std::fs::write(&file, image.to_jpeg().unwrap()).unwrap();
        let mut page = Page::new("a & b", DecodeOptions::default());
        let gone = PictureSource::File(folder.path().join("gone.jpg"));
        let file = PictureSource::File(file);
        let pictures = [
            PagePicture {
                source: &file,
                text: "<script>\"x\"</script>",
                note: "0.5",
                heat: Some(b"png"),
            },
            PagePicture { source: &gone, text: "", note: "", heat: None },
        ];
        page.row("it's", Some(&file), pictures);
        let html = page.into_html();
        assert_eq!(html.matches("src=\"data:image/jpeg;base64,").count(), 2);
        assert_eq!(html.matches("src=\"data:image/png;base64,cG5n\"").count(), 1);
        assert!(html.contains("a &amp; b") && html.contains("it&#39;s"), "{html}");
        assert!(
            html.contains("&lt;script&gt;&quot;x&quot;") && !html.contains("<script"),
            "{html}"
        );
        assert!(html.contains("gone.jpg cannot be shown"), "{html}");
    }
}
