//! What a lexical index answers, against the meaning of filters, and what it does with bad bytes.

mod damage;
mod data;
mod differential;
mod text;
mod words;
