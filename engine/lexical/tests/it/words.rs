//! Words are those of tantivy's default tokenizer.

use bigrain_types::filter::words;
use proptest::prelude::*;
use tantivy::tokenizer::{TokenStream, TokenizerManager};

proptest! {
    #[test]
    fn words_are_those_of_the_default_tokenizer(text in "(\\PC{0,30}|[a-zÀ-ſΣς ]{0,60}|[A-Z0-9]{30,50} ?){1,4}") {
        let mut tokenizer = TokenizerManager::default().get("default").unwrap();
        let mut tokens = Vec::new();
        let mut stream = tokenizer.token_stream(&text);
        while stream.advance() {
            tokens.push(stream.token().text.clone());
        }
        prop_assert_eq!(words(&text).collect::<Vec<_>>(), tokens);
    }
}
