//! The tasks of a link: one a stream, one for new streams, one that watches over progress.
//!
//! Does: move frames between streams and queues, hold the peer to the protocol's streams. Does not:
//! know what frames mean. In: streams of a connection. Out: frames in the inbox, bytes on the wire.
//! Every task ends with the link, since each waits on the connection or on a queue that ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use quinn::{SendStream, WriteError};

use super::beating::beat;
use super::closing;
use super::inbox::{CONTROL_QUEUE, queue_of};
use super::link::{LinkCore, Streams};
use super::outbox::{Outbox, Work};
use super::reader::{FrameReader, ReadFrameError};
use super::request;
use crate::frame::{Channel, Control, Frame, FrameError, FrameKind, decode_control};
use crate::identity::{Verdict, may_send};
use crate::link::close::{CloseCode, Closed};
use crate::link::contract::Side;
use crate::link::limits::STALL_CHECK;
use crate::link::stall::StallWatch;

/// Higher goes first where the line is the bottleneck; requests have quinn's 0.
const CONTROL_PRIORITY: i32 = 4;

/// Starts them all.
pub(super) fn start(core: &Arc<LinkCore>, control: SendStream, reader: FrameReader) {
    tokio::spawn(watch_end(Arc::clone(core)));
    tokio::spawn(watch_progress(Arc::clone(core)));
    tokio::spawn(beat(Arc::clone(core)));
    spawn_control_writer(core, control);
    tokio::spawn(read_control(Arc::clone(core), reader));
    tokio::spawn(accept_requests(Arc::clone(core)));
    match core.side {
        Side::Dialler => {
            for channel in Channel::ALL {
                core.writer_started();
                tokio::spawn(write_channel(Arc::clone(core), channel));
            }
        }
        Side::Acceptor => {
            tokio::spawn(accept_channels(Arc::clone(core)));
        }
    }
}

async fn watch_end(core: Arc<LinkCore>) {
    let error = core.connection.closed().await;
    core.end(closing::closed_of(&error));
}

/// Gives up a peer that keeps the connection alive and takes no bytes.
async fn watch_progress(core: Arc<LinkCore>) {
    let mut watch = StallWatch::default();
    loop {
        let now = core.clock.monotonic();
        tokio::select! {
            () = core.clock.sleep_until(now.after(STALL_CHECK)) => {}
            _ = core.inbox.closed() => return,
        }
        let written = core.written.load(Ordering::Relaxed);
        let is_waiting = core.outboxes().any(Outbox::is_writing);
        if watch.look(written, is_waiting, core.clock.monotonic()) {
            let reason = "the peer took under 60 KiB in 60 s while frames wait for it";
            core.end(Closed::here(CloseCode::Stalled, reason));
            return;
        }
    }
}

// === Writing ===

fn spawn_control_writer(core: &Arc<LinkCore>, mut stream: SendStream) {
    let core = Arc::clone(core);
    core.writer_started();
    tokio::spawn(async move {
        // The stream is new and open.
        if stream.set_priority(CONTROL_PRIORITY).is_ok()
            && let Err(closed) = write_all(&core, &core.control, &mut stream).await
        {
            core.end(closed);
        }
        core.writer_finished();
    });
}

async fn write_channel(core: Arc<LinkCore>, channel: Channel) {
    if let Some(outbox) = core.channels.get(channel.index())
        && let Err(closed) = open_and_write(&core, channel, outbox).await
    {
        core.end(closed);
    }
    core.writer_finished();
}

async fn open_and_write(core: &LinkCore, channel: Channel, outbox: &Outbox) -> Result<(), Closed> {
    let opened = core.connection.open_uni().await;
    let mut stream = opened.map_err(|error| closing::closed_of(&error))?;
    let priority = CONTROL_PRIORITY - i32::from(channel.number());
    let internal = |_| Closed::here(CloseCode::Internal, "a new stream is closed");
    stream.set_priority(priority).map_err(internal)?;
    let number = [channel.number()];
    stream.write_all(&number).await.map_err(closed_of_write)?;
    write_all(core, outbox, &mut stream).await
}

/// Writes what an outbox gives until it is finished and the peer has all.
async fn write_all(
    core: &LinkCore,
    outbox: &Outbox,
    stream: &mut SendStream,
) -> Result<(), Closed> {
    loop {
        match outbox.work().await? {
            Work::Write(mut chunks) => {
                let bytes = chunks.iter().map(Bytes::len).sum();
                write_chunks(core, stream, &mut chunks).await?;
                outbox.wrote(bytes);
            }
            Work::Finish => {
                let internal = |_| Closed::here(CloseCode::Internal, "a stream was closed twice");
                stream.finish().map_err(internal)?;
                return match stream.stopped().await {
                    Ok(_) => Ok(()),
                    Err(error) => Err(Closed::here(CloseCode::Lost, error.to_string())),
                };
            }
        }
    }
}

async fn write_chunks(
    core: &LinkCore,
    stream: &mut SendStream,
    chunks: &mut [Bytes],
) -> Result<(), Closed> {
    let mut rest = chunks;
    while !rest.is_empty() {
        let written = stream.write_chunks(rest).await.map_err(closed_of_write)?;
        core.written
            .fetch_add(written.bytes as u64, Ordering::Relaxed);
        rest = rest.get_mut(written.chunks..).unwrap_or_default();
    }
    Ok(())
}

pub(super) fn closed_of_write(error: WriteError) -> Closed {
    match error {
        WriteError::ConnectionLost(error) => closing::closed_of(&error),
        WriteError::Stopped(code) => {
            let reason = format!("the peer stopped a stream of the link with code {code}");
            Closed::here(CloseCode::Protocol, reason)
        }
        WriteError::ClosedStream | WriteError::ZeroRttRejected => {
            Closed::here(CloseCode::Internal, error.to_string())
        }
    }
}

// === Reading ===

async fn read_control(core: Arc<LinkCore>, mut reader: FrameReader) {
    if let Err(error) = read_control_frames(&core, &mut reader).await {
        core.end(error.into_closed("control stream"));
    }
}

async fn read_control_frames(
    core: &LinkCore,
    reader: &mut FrameReader,
) -> Result<(), ReadFrameError> {
    while let Some(head) = reader.head().await? {
        if !head.kind.is_control() {
            return Err(misplaced(
                head.kind,
                "on the control stream after the handshake",
            ));
        }
        permit(core, head.kind)?;
        core.inbox
            .reserve(CONTROL_QUEUE, head.payload_bytes)
            .await?;
        let payload = reader.payload(head).await?;
        let mut control = decode_control(head.kind, &payload)?;
        if let Control::Revocations(list) = control {
            let Some(unwanted) = core.guard.take(&core.peer, list).await else {
                core.inbox.release(head.payload_bytes);
                continue;
            };
            control = Control::Revocations(unwanted);
        }
        let frame = Frame::Control(control);
        core.inbox.push(CONTROL_QUEUE, head.payload_bytes, frame);
    }
    Ok(())
}

/// Whether the peer may send the frame at all, by its certificate and the link's role.
fn permit(core: &LinkCore, kind: FrameKind) -> Result<(), ReadFrameError> {
    match may_send(core.peer_standing(), kind) {
        Verdict::Allowed => Ok(()),
        Verdict::Refused(forbidden) => {
            let reason = format!("frame {} is not allowed: {forbidden}", kind.name());
            Err(ReadFrameError::Closed(Closed::here(
                CloseCode::Protocol,
                reason,
            )))
        }
    }
}

fn misplaced(kind: FrameKind, place: &'static str) -> ReadFrameError {
    ReadFrameError::Frame(FrameError::Misplaced {
        kind: kind.name(),
        place,
    })
}

/// Takes the peer's one-way streams: three in the life of a link, each once.
async fn accept_channels(core: Arc<LinkCore>) {
    loop {
        // An error is the end of the connection, which `watch_end` tells.
        let Ok(stream) = core.connection.accept_uni().await else {
            return;
        };
        let reader = FrameReader::new(stream, Arc::clone(&core.counters));
        tokio::spawn(read_channel(Arc::clone(&core), reader));
    }
}

async fn read_channel(core: Arc<LinkCore>, mut reader: FrameReader) {
    let result = match reader.byte().await {
        Ok(number) => claim(&core, number),
        Err(error) => Err(error),
    };
    let (stream, result) = match result {
        Ok(channel) => (
            channel.name(),
            read_blocks(&core, channel, &mut reader).await,
        ),
        Err(error) => ("channel", Err(error)),
    };
    if let Err(error) = result {
        core.end(error.into_closed(stream));
        reader.stop(CloseCode::Protocol);
    }
}

fn claim(core: &LinkCore, number: u8) -> Result<Channel, ReadFrameError> {
    let refused = |reason| ReadFrameError::Closed(Closed::here(CloseCode::Streams, reason));
    let Some(channel) = Channel::from_number(number) else {
        return Err(refused(format!("channel {number} does not exist")));
    };
    let bit = 1 << channel.index();
    if core.channels_open.fetch_or(bit, Ordering::AcqRel) & bit != 0 {
        return Err(refused(format!(
            "channel {} has a second stream",
            channel.name()
        )));
    }
    Ok(channel)
}

async fn read_blocks(
    core: &LinkCore,
    channel: Channel,
    reader: &mut FrameReader,
) -> Result<(), ReadFrameError> {
    let queue = queue_of(channel);
    while let Some(head) = reader.head().await? {
        if head.kind != FrameKind::Block {
            return Err(misplaced(head.kind, "on a channel for blocks"));
        }
        permit(core, head.kind)?;
        core.inbox.reserve(queue, head.payload_bytes).await?;
        let block = reader.payload(head).await?;
        let frame = Frame::Block { channel, block };
        core.inbox.push(queue, head.payload_bytes, frame);
    }
    Ok(())
}

/// Takes the peer's two-way streams after the first; the transport bounds how many are open.
async fn accept_requests(core: Arc<LinkCore>) {
    loop {
        let Ok(streams) = core.connection.accept_bi().await else {
            return;
        };
        tokio::spawn(begin_request(Arc::clone(&core), streams));
    }
}

async fn begin_request(core: Arc<LinkCore>, streams: Streams) {
    match request::begin(&core, streams).await {
        Ok(Some(incoming)) => core.add_request(incoming),
        Ok(None) => {}
        Err(closed) => core.end(closed),
    }
}
