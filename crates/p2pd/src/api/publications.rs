//! `GET` and `POST /v1/publications`.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use p2p_api::{ErrorCode, MAX_REQUEST_BYTES, Publication, PublicationAccepted, Published, Report};
use p2p_package::InfoHash;
use p2p_wire::{Pointer, PublishedFile, PublisherKey};

use super::{Api, refuse};
use crate::hex;
use crate::publications::{Draft, PublishFault, Refusal, Subject, club_of, uses_dht};
use crate::services::Services;

/// Whoever sends nothing for so long publishes nothing: somebody else may want to.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a publication is not taken in: what to answer.
type Unfit = (ErrorCode, String, Option<&'static str>);

/// Whom we follow, and who publishes here.
pub(super) async fn list(State(api): State<Api>) -> Json<Vec<Published>> {
    Json(api.services.publications.list())
}

/// Takes a pointer and its two files.
pub(super) async fn publish(State(api): State<Api>, body: Body) -> Response {
    let Some(_alone) = api.services.publications.begin() else {
        return refuse(ErrorCode::TooBusy, "something is being published already", None);
    };
    let services = &api.services;
    match take_in(services, body).await {
        Ok(()) => {
            let neighbours = services.neighbours.count() as u64;
            Json(PublicationAccepted { neighbours, dht: uses_dht(services) }).into_response()
        }
        Err((code, message, hint)) => refuse(code, &message, hint),
    }
}

async fn take_in(services: &Services, body: Body) -> Result<(), Unfit> {
    let mut upload = Upload { stream: body.into_data_stream(), rest: Bytes::new() };
    let line = upload.line().await.ok_or_else(|| bad("the first line is missing, or too long"))?;
    let publication: Publication = serde_json::from_slice(&line).map_err(|error| bad(&error.to_string()))?;
    let pointer = pointer(&publication).ok_or_else(|| bad("a key, a signature or a value is not hexadecimal"))?;
    let club = our_club(services, &publication).await?;
    let said = pointer.verify(&club).map_err(|fault| bad(&fault.to_string()))?;
    let subject = Subject { club, key: PublisherKey::from_bytes(pointer.key) };
    services.publications.may_publish(&subject, pointer.seq).map_err(refused)?;
    let database = upload.file(services, said.database).await?;
    let index = upload.file(services, said.index).await?;
    let repository = publication.repository;
    services.publications.publish(subject, repository, pointer, [database, index]).await.map_err(|fault| match fault {
        PublishFault::Refused(refusal) => refused(refusal),
        PublishFault::File(fault) => (ErrorCode::BadRequest, Report(&fault).to_string(), None),
    })
}

async fn our_club(services: &Services, publication: &Publication) -> Result<InfoHash, Unfit> {
    let Publication { repository, architecture, .. } = publication;
    club_of(&services.knowledge, repository, architecture).await.ok_or_else(|| {
        let message = format!("p2pd does not share the repository {repository} for {architecture}");
        let hint = "name it in seed.repositories, and in pacman.conf, so that neighbours meet for it";
        (ErrorCode::BadRequest, message, Some(hint))
    })
}

fn pointer(publication: &Publication) -> Option<Pointer> {
    Some(Pointer {
        key: *publication.key.parse::<PublisherKey>().ok()?.as_bytes(),
        seq: publication.seq,
        signature: hex::decode(&publication.signature)?.try_into().ok()?,
        value: Bytes::from(hex::decode(&publication.value)?),
    })
}

fn bad(message: &str) -> Unfit {
    (ErrorCode::BadRequest, message.to_owned(), None)
}

fn refused(refusal: Refusal) -> Unfit {
    (ErrorCode::BadRequest, Report(&refusal).to_string(), None)
}

/// The body: a line, and the bytes of two files.
struct Upload {
    stream: BodyDataStream,
    /// What has come, but not been taken.
    rest: Bytes,
}

impl Upload {
    async fn next(&mut self) -> Option<Bytes> {
        if self.rest.is_empty() {
            self.rest = tokio::time::timeout(SILENCE, self.stream.next()).await.ok()??.ok()?;
        }
        Some(std::mem::take(&mut self.rest))
    }

    async fn line(&mut self) -> Option<Bytes> {
        let mut line = BytesMut::new();
        loop {
            let mut bytes = self.next().await?;
            let end = bytes.iter().position(|&byte| byte == b'\n');
            line.extend_from_slice(&bytes.split_to(end.unwrap_or(bytes.len())));
            if line.len() > MAX_REQUEST_BYTES {
                return None;
            }
            if end.is_some() {
                self.rest = bytes.split_off(1);
                return Some(line.freeze());
            }
        }
    }

    async fn file(&mut self, services: &Services, file: PublishedFile) -> Result<Draft, Unfit> {
        let disk = |error: &dyn std::error::Error| (ErrorCode::Unavailable, Report(error).to_string(), None);
        let mut draft = services.publications.draft(file).await.map_err(|error| disk(&error))?;
        while draft.left() > 0 {
            let mut bytes = self.next().await.ok_or_else(|| bad("the body ends early"))?;
            let taken = usize::try_from(draft.left()).unwrap_or(usize::MAX).min(bytes.len());
            draft.take(&bytes.split_to(taken)).await.map_err(|fault| disk(&fault))?;
            self.rest = bytes;
        }
        Ok(draft)
    }
}
