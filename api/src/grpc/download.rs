//! The stream of `Maintenance.DownloadBackup`: a file in pieces, one read when the one before was
//! taken.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::Instrument;

use super::Context;
use crate::backups;
use crate::proto::DownloadBackupReply;
use crate::request_scope::Arrival;
use crate::runtime::Phase;

/// Bytes of a piece.
const PIECE: u64 = 256 << 10;
/// Pieces read but not yet taken by the client.
const UNREAD_PIECES: usize = 2;

type Pipe = mpsc::Sender<Result<DownloadBackupReply, Status>>;

/// The pieces of a file that are still to be sent.
#[derive(Debug)]
pub(super) struct Pieces {
    /// The backup's name.
    pub name: String,
    /// Its file.
    pub file: File,
    /// Where the next piece begins.
    pub offset: u64,
    /// Where the last one ends.
    pub total_bytes: u64,
}

/// Starts the task of one download and returns its pieces.
pub(super) fn start(
    context: Arc<Context>,
    arrival: Arrival,
    pieces: Pieces,
) -> ReceiverStream<Result<DownloadBackupReply, Status>> {
    let (pipe, unread) = mpsc::channel(UNREAD_PIECES);
    let task = async move {
        let mut aborted = context.runtime.phase();
        let ended = tokio::select! {
            ended = send_all(&context, pieces, &pipe) => ended,
            status = aborted.reached(Phase::Aborting) => Err(status),
            status = arrival.expired() => Err(status),
        };
        if let Err(status) = ended {
            // Whoever does not read has gone, and needs no answer.
            let _ = pipe.try_send(Err(status));
        }
    };
    tokio::spawn(task.in_current_span());
    ReceiverStream::new(unread)
}

async fn send_all(context: &Context, mut pieces: Pieces, pipe: &Pipe) -> Result<(), Status> {
    while pieces.offset < pieces.total_bytes {
        // A place in the pipe first: nothing is read for a client that does not take what there is.
        let Ok(place) = pipe.reserve().await else { return Ok(()) };
        let read = move |_: &_| {
            let piece = pieces.next()?;
            Ok((pieces, piece))
        };
        let (rest, piece) = context.runtime.searches.run_when_free(read).await?;
        pieces = rest;
        place.send(Ok(piece));
    }
    Ok(())
}

impl Pieces {
    /// Reads the next piece.
    fn next(&mut self) -> Result<DownloadBackupReply, Status> {
        let (offset, total_bytes) = (self.offset, self.total_bytes);
        let mut data = vec![0; PIECE.min(total_bytes - offset) as usize];
        self.file
            .read_exact_at(&mut data, offset)
            .map_err(|error| backups::failed("read", Path::new(&self.name), &error))?;
        self.offset += data.len() as u64;
        Ok(DownloadBackupReply { offset, data, total_bytes })
    }
}
