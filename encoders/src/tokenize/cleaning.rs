//! What OpenAI's CLIP does to a text before it is split into tokens.
//!
//! Its captions came from the web, so it mends what the web does to texts: `ftfy.fix_text`, then HTML
//! entities twice. Of ftfy this is what captions need: UTF-8 that was read as Windows-1252,
//! ligatures, full and half width, curly quotes, control characters, composed characters (NFC). Not
//! here: other encodings read as others, and parts of a text that were read wrongly.

use std::fmt;

use tokenizers::NormalizedString;

/// What is done to texts before a CLIP tokenizer splits them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextCleaning {
    /// Nothing but lower case and composed characters, as Hugging Face's tokenizer does it.
    #[default]
    Plain,
    /// As in OpenAI's and open_clip's code: broken encodings and HTML entities are mended, quotes are
    /// straightened, and what looks like a special token is text.
    OpenAi,
}

/// How many times a text that was read wrongly over and over is mended.
const MAX_ROUNDS: usize = 4;

/// What Windows-1252 has at 0x80 to 0x9F; where it has nothing, the control character itself.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

impl TextCleaning {
    /// Returns the text as OpenAI's tokenizer splits it, in small letters.
    pub(super) fn clean_open_ai(text: &str) -> String {
        let mut text = html_escape::decode_html_entities(text).into_owned();
        for _ in 0..MAX_ROUNDS {
            match read_as_utf8(&text) {
                Some(mended) => text = mended,
                None => break,
            }
        }
        let mut mended = String::with_capacity(text.len());
        for character in text.chars() {
            mend(character, &mut mended);
        }
        let mut composed = NormalizedString::from(mended);
        composed.nfc();
        let once = html_escape::decode_html_entities(composed.get()).into_owned();
        html_escape::decode_html_entities(&once).to_lowercase()
    }
}

/// Undoes one reading of UTF-8 as Windows-1252; `None` if the text is not the result of one.
fn read_as_utf8(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let byte = |character: char| match u32::from(character) {
        code @ (0..0x80 | 0xa0..0x100) => Some(code as u8),
        _ => {
            let at = WINDOWS_1252.iter().position(|&known| known == character)?;
            Some(0x80 + at as u8)
        }
    };
    let bytes: Vec<u8> = text.chars().map(byte).collect::<Option<_>>()?;
    String::from_utf8(bytes).ok()
}

/// Writes what a character should have been.
fn mend(character: char, out: &mut String) {
    match character {
        '\u{0}'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' => {}
        '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}' => {}
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => out.push('\''),
        '\u{201c}'..='\u{201f}' => out.push('"'),
        '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
        'ĳ' => out.push_str("ij"),
        'Ĳ' => out.push_str("IJ"),
        'ŉ' => out.push_str("ʼn"),
        'ﬀ' => out.push_str("ff"),
        'ﬁ' => out.push_str("fi"),
        'ﬂ' => out.push_str("fl"),
        'ﬃ' => out.push_str("ffi"),
        'ﬄ' => out.push_str("ffl"),
        'ﬅ' => out.push_str("ſt"),
        'ﬆ' => out.push_str("st"),
        '\u{3000}' => out.push(' '),
        '\u{ff01}'..='\u{ffef}' => {
            let mut narrow = NormalizedString::from(character.to_string());
            narrow.nfkc();
            out.push_str(narrow.get());
        }
        _ => out.push(character),
    }
}

impl fmt::Display for TextCleaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::OpenAi => "openai",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_web_does_to_texts_is_mended() {
        for (text, clean) in [
            ("AT&amp;amp;T &lt;b&gt; &#233;", "at&t <b> é"),
            ("schÃ¶n", "schön"),
            ("itâ€™s", "it's"),
            ("“d’été”", "\"d'été\""),
            ("ﬁne ﬂuﬀ Ⅳ ½", "fine fluff ⅳ ½"),
            ("ＡＢＣ１２３　ｶﾞ", "abc123 ガ"),
            ("e\u{301}\u{0}\u{feff}", "é"),
            ("naïve Ã", "naïve ã"),
            ("İ", "i̇"),
        ] {
            assert_eq!(TextCleaning::clean_open_ai(text), clean, "{text:?}");
        }
    }

    #[test]
    fn every_byte_read_wrongly_is_read_back() {
        let text: String = ('\u{80}'..'\u{800}').collect();
        let wrong: String = text
            .bytes()
            .map(|byte| match byte {
                0x80..0xa0 => WINDOWS_1252[usize::from(byte - 0x80)],
                _ => char::from(byte),
            })
            .collect();
        assert_eq!(read_as_utf8(&wrong).as_deref(), Some(&text[..]));
        assert_eq!(read_as_utf8("plain"), None);
        assert_eq!(read_as_utf8("日本"), None);
    }
}
