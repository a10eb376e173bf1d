//! WebSockets (RFC 6455): lines as text frames, with pings both ways.
//!
//! Does: judge the handshake, frame lines, answer pings, notice a client that left, says something
//! or stays silent. Does not: make lines, speak extensions (no compression).
//! In: lines; frames of the client. Out: frames in the chunks of a [`LineSender`].
//! Full: as with HTTP: a client that takes no chunk is cut off and goes on by its cursor.
//! Limits: a client has nothing to say but control frames, so a frame has [`FRAME_BYTES_MAX`].

use std::sync::Arc;
use std::time::Duration;

use actix_http::ws::{CloseCode, Codec, Frame, ProtocolError, handshake};
use actix_web::body::BodyStream;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, StreamExt as _};
use ocelli_model::clock::{Clock, Monotonic};
use tokio_util::codec::Decoder as _;

use super::ApiError;
use super::lines::{CHUNK_BYTES, ClientGone, LineSender, LineSink, chunks};

/// Largest frame of a client: twice what a control frame may have.
const FRAME_BYTES_MAX: usize = 256;
/// A client that answers no ping for so long is gone: three are missed.
const SILENCE_MAX: Duration = Duration::from_secs(50);
/// Longest reason of a close frame, bytes (RFC 6455 §5.5).
const REASON_BYTES_MAX: usize = 123;

const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A handshake that was found good.
pub(super) struct Upgrade(actix_http::ResponseBuilder);

/// Looks at the handshake.
///
/// # Errors
/// 400 with what is wrong.
pub(super) fn upgrade(request: &HttpRequest) -> Result<Upgrade, ApiError> {
    let found = handshake(request.head());
    found.map(Upgrade).map_err(|error| {
        let hint = "ask by GET with the headers of RFC 6455, version 13";
        ApiError::bad_request(&format!("WebSocket: {error}"), hint)
    })
}

impl Upgrade {
    /// The response, and what sends its bytes.
    pub(super) fn open(self) -> (LineSender, HttpResponse) {
        let Self(mut response) = self;
        let (lines, chunks) = chunks();
        let response = response.body(BodyStream::new(Box::pin(chunks)));
        (lines, HttpResponse::from(response.map_into_boxed_body()))
    }
}

/// Lines on their way through a WebSocket.
pub(super) struct SocketSender {
    lines: LineSender,
    payload: Payload,
    /// Bytes of the client that are no frame yet.
    waiting: BytesMut,
    codec: Codec,
    /// When the client said something last.
    heard: Monotonic,
    clock: Arc<dyn Clock>,
    is_in_lines: bool,
}

/// What a client's frame asks for.
enum Asked {
    Nothing,
    Pong(Bytes),
    /// The end, and how it is answered.
    End(CloseCode, &'static str),
    /// The connection is no more.
    Gone,
}

impl SocketSender {
    pub(super) fn new(lines: LineSender, payload: Payload, clock: &Arc<dyn Clock>) -> Self {
        Self {
            lines,
            payload,
            waiting: BytesMut::new(),
            codec: Codec::new().max_size(FRAME_BYTES_MAX),
            heard: clock.monotonic(),
            clock: Arc::clone(clock),
            is_in_lines: true,
        }
    }

    /// Whether each line is a frame; else what is pushed together is.
    pub(super) fn in_lines(mut self, is_in_lines: bool) -> Self {
        self.is_in_lines = is_in_lines;
        self
    }

    /// The next that the client says. Safe to cancel: nothing is taken before it is whole.
    async fn asked(&mut self) -> Asked {
        loop {
            match self.codec.decode(&mut self.waiting) {
                Ok(Some(frame)) => return asked_by(frame),
                Ok(None) => {}
                Err(ProtocolError::Overflow) => {
                    return Asked::End(CloseCode::Size, "a client only says control frames here");
                }
                Err(_) => return Asked::End(CloseCode::Protocol, "not a frame of RFC 6455"),
            }
            match self.payload.next().await {
                Some(Ok(bytes)) => {
                    self.heard = self.clock.monotonic();
                    self.waiting.extend_from_slice(&bytes);
                }
                Some(Err(_)) | None => return Asked::Gone,
            }
        }
    }

    /// Does what was asked.
    async fn answer(&mut self, asked: Asked) -> Result<(), ClientGone> {
        match asked {
            Asked::Nothing => Ok(()),
            Asked::Pong(bytes) => {
                put_frame((PONG, &bytes), &mut self.lines.lines);
                self.lines.flush().await
            }
            Asked::End(code, reason) => {
                self.close(code, reason).await;
                Err(ClientGone)
            }
            Asked::Gone => Err(ClientGone),
        }
    }

    async fn close(&mut self, code: CloseCode, reason: &str) {
        let mut payload = u16::from(code).to_be_bytes().to_vec();
        let mut reason = reason.to_owned();
        while reason.len() > REASON_BYTES_MAX {
            reason.pop();
        }
        payload.extend_from_slice(reason.as_bytes());
        put_frame((CLOSE, &payload), &mut self.lines.lines);
        // One that does not read any more needs no reason.
        let _is_read = self.lines.flush().await.is_ok();
    }

    /// Answers what the client has said by now.
    async fn hear(&mut self) -> Result<(), ClientGone> {
        while let Some(asked) = self.asked().now_or_never() {
            self.answer(asked).await?;
        }
        Ok(())
    }

    async fn push_frame(&mut self, text: Bytes) -> Result<(), ClientGone> {
        if text.len() < CHUNK_BYTES {
            put_frame((TEXT, &text), &mut self.lines.lines);
            return self.lines.flush_if_full().await;
        }
        put_head((TEXT, text.len()), &mut self.lines.lines);
        self.lines.send(text).await
    }
}

impl LineSink for SocketSender {
    async fn push(&mut self, mut lines: Bytes) -> Result<(), ClientGone> {
        self.hear().await?;
        while !lines.is_empty() {
            let end = if self.is_in_lines {
                lines.iter().position(|byte| *byte == b'\n')
            } else {
                lines.len().checked_sub(1)
            };
            let line = lines.split_to(end.unwrap_or(lines.len()));
            if !lines.is_empty() {
                // Its line feed: the frame says where a line ends.
                drop(lines.split_to(1));
            }
            if !line.is_empty() {
                self.push_frame(line).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ClientGone> {
        self.lines.flush().await
    }

    async fn gone(&mut self) {
        loop {
            let asked = self.asked().await;
            if self.answer(asked).await.is_err() {
                return;
            }
        }
    }

    async fn say_alive(&mut self, _words: &'static [u8]) -> Result<(), ClientGone> {
        if self.clock.monotonic().since(self.heard) > SILENCE_MAX {
            self.close(CloseCode::Policy, "no pong came back").await;
            return Err(ClientGone);
        }
        put_frame((PING, &[]), &mut self.lines.lines);
        self.lines.flush().await
    }

    async fn end(&mut self, reason: &str) {
        self.close(CloseCode::Error, reason).await;
    }
}

fn asked_by(frame: Frame) -> Asked {
    match frame {
        Frame::Ping(bytes) => Asked::Pong(bytes),
        Frame::Pong(_) => Asked::Nothing,
        Frame::Close(_) => Asked::End(CloseCode::Normal, ""),
        Frame::Text(_) | Frame::Binary(_) | Frame::Continuation(_) => {
            let reason = "a subscription takes no messages: its parameters stand in the URL";
            Asked::End(CloseCode::Unsupported, reason)
        }
    }
}

/// Appends a whole frame of a server, which is never masked.
fn put_frame((opcode, payload): (u8, &[u8]), into: &mut Vec<u8>) {
    put_head((opcode, payload.len()), into);
    into.extend_from_slice(payload);
}

/// What stands before a payload of `bytes` (RFC 6455 §5.2).
fn put_head((opcode, bytes): (u8, usize), into: &mut Vec<u8>) {
    const FINAL: u8 = 0x80;
    into.push(FINAL | opcode);
    if let Ok(short) = u8::try_from(bytes)
        && short <= 125
    {
        into.push(short);
    } else if let Ok(middle) = u16::try_from(bytes) {
        into.push(126);
        into.extend_from_slice(&middle.to_be_bytes());
    } else {
        into.push(127);
        into.extend_from_slice(&(bytes as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_http::ws::Parser;

    #[test]
    fn frames_read_back_whatever_their_length() {
        for length in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
            let payload = vec![b'x'; length];
            let mut bytes = Vec::new();
            put_frame((TEXT, &payload), &mut bytes);
            let mut bytes = BytesMut::from(&bytes[..]);
            let read = Parser::parse(&mut bytes, false, 1 << 20).unwrap().unwrap();
            let (is_final, _, read) = read;
            assert!(is_final && bytes.is_empty(), "{length}");
            assert_eq!(read.unwrap_or_default(), &payload[..], "{length}");
        }
    }
}
