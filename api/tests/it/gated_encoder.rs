//! An encoder whose work a test holds up, to see what the server does meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bigrain_api::proto::EncodeRequest;
use bigrain_api::{ModelRegistry, Settings};
use bigrain_encoders::{Embeddings, EncodeError, EncodeOptions, TextEncoder, ToyEncoder};
use bigrain_engine::EmbeddingSpaceId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{TOY, TestServer, toy};

/// What happened to a request inside the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Started,
    Cancelled,
}

/// The test's hold on a [`GatedEncoder`].
pub struct Gate {
    events: UnboundedReceiver<Event>,
    open: Arc<AtomicBool>,
}

impl Gate {
    /// Returns the next event.
    pub async fn event(&mut self) -> Event {
        self.events.recv().await.unwrap()
    }

    /// Lets all work finish.
    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

/// Encodes like the toy, once its gate is open.
struct GatedEncoder {
    toy: ToyEncoder,
    events: UnboundedSender<Event>,
    open: Arc<AtomicBool>,
}

impl TextEncoder for GatedEncoder {
    fn dims(&self) -> usize {
        self.toy.dims()
    }

    fn space(&self) -> EmbeddingSpaceId {
        self.toy.space()
    }

    fn max_tokens(&self) -> usize {
        self.toy.max_tokens()
    }

    fn encode(&self, texts: &[&str], options: &EncodeOptions) -> Result<Embeddings, EncodeError> {
        self.events.send(Event::Started).unwrap();
        while !self.open.load(Ordering::SeqCst) {
            options.cancel.check().inspect_err(|_| self.events.send(Event::Cancelled).unwrap())?;
            thread::yield_now();
        }
        self.toy.encode(texts, options)
    }
}

/// Starts a server whose only model is gated.
pub async fn gated_server(settings: Settings) -> (TestServer, Gate) {
    let (events, seen) = unbounded_channel();
    let open = Arc::new(AtomicBool::new(false));
    let encoder = GatedEncoder { toy: toy(), events, open: Arc::clone(&open) };
    let models = ModelRegistry::new().with(TOY, Arc::new(encoder)).unwrap();
    (TestServer::start_with(settings, models).await, Gate { events: seen, open })
}

pub fn encode_request() -> EncodeRequest {
    EncodeRequest { texts: vec!["one text".to_owned()], ..EncodeRequest::default() }
}
