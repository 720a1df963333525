//! What is known of one package: who lists it, who has it, and how it came last.

mod candidates;
mod subject;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use p2p_api::{Explanation, Has, NeighbourAnswer, ReachReason};
use p2p_neighbours::Asker;
use p2p_package::Sha256;
use p2p_wire::{Answer, Wishes};
use tokio::time::{Instant, timeout_at};

use self::candidates::{Candidate, candidates, held};
use self::subject::Subject;
pub(crate) use self::subject::SubjectFault;
use crate::services::Services;
use crate::sharing::{Reach, Why};

/// Packages that one name may mean.
const MOST: usize = 8;
/// How long neighbours get to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// All packages that this name may mean. Neighbours are asked for those only that everybody may hear of.
pub(crate) async fn explain(services: &Arc<Services>, name: String) -> Result<Vec<Explanation>, SubjectFault> {
    let looking = Arc::clone(services);
    let looked = tokio::task::spawn_blocking(move || look(&looking, &name)).await;
    let mut explained = looked.expect("reading databases does not panic")?;
    let deadline = Instant::now() + ANSWER_WITHIN;
    // Together: each question is a few bytes.
    let questions = explained.iter().map(|(explanation, sha256)| {
        let asks = explanation.reach == p2p_api::Reach::Public;
        ask(services, sha256.filter(|_| asks), deadline)
    });
    let answers = futures_util::future::join_all(questions).await;
    for ((explanation, _), answers) in explained.iter_mut().zip(answers) {
        explanation.neighbours = answers;
    }
    Ok(explained.into_iter().map(|(explanation, _)| explanation).collect())
}

type Explained = (Explanation, Option<Sha256>);

fn look(services: &Services, name: &str) -> Result<Vec<Explained>, SubjectFault> {
    let subject = Subject::read(name, &services.knowledge.view().conf.repositories)?;
    // A look at the databases as they are now.
    services.knowledge.sharing();
    let file = match &subject {
        Subject::File { name, .. } | Subject::Elsewhere { name, .. } => Some(name.to_string()),
        Subject::Package { .. } => None,
    };
    let candidates = candidates(services, &subject);
    Ok(candidates.iter().map(|candidate| describe(services, candidate, file.as_deref())).collect())
}

fn describe(services: &Services, candidate: &Candidate, file: Option<&str>) -> Explained {
    let sharing = services.knowledge.last_sharing();
    let (reach, why) = match candidate.id.as_ref().zip(candidate.repository.as_deref()) {
        Some((id, repository)) => (sharing.reach(id, repository), Some(sharing.why(id, repository))),
        None => (Reach::Nobody, None),
    };
    let info_hash = candidate.row.as_ref().map(|row| row.info_hash());
    let story = services.stories.last(&candidate.name).or_else(|| services.stories.last(file?));
    let explanation = Explanation {
        name: candidate.name.clone(),
        listings: candidate.listings.clone(),
        held: held(services, candidate),
        info_hash: info_hash.map(|hash| hash.to_string()),
        reach: match reach {
            Reach::Public => p2p_api::Reach::Public,
            Reach::Lan => p2p_api::Reach::Lan,
            Reach::Nobody => p2p_api::Reach::Nobody,
        },
        pattern: match &why {
            Some(Why::Excluded(pattern)) => Some(pattern.clone()),
            Some(Why::Listed | Why::Superseded | Why::NotShared) | None => None,
        },
        reason: match why {
            Some(Why::Listed) => ReachReason::Listed,
            Some(Why::Superseded) => ReachReason::Superseded,
            Some(Why::Excluded(_)) => ReachReason::Excluded,
            Some(Why::NotShared) => ReachReason::NotShared,
            None => ReachReason::Unlisted,
        },
        neighbours: Vec::new(),
        peers: info_hash.map_or(0, |hash| services.gate.peers(hash).len() as u64),
        others: info_hash.and_then(|hash| services.discovery.rarity(&hash)).map(u64::from),
        last_fetch: story.map(|story| story.tell()),
    };
    (explanation, candidate.id.as_ref().map(|id| id.sha256))
}

/// What each neighbour says until then.
async fn ask(services: &Services, sha256: Option<Sha256>, deadline: Instant) -> Vec<NeighbourAnswer> {
    let Some(sha256) = sha256 else { return Vec::new() };
    let answer = |address: SocketAddr, asker, answer| NeighbourAnswer {
        address: address.to_string(),
        local: asker == Asker::Local,
        answer,
    };
    let mut silent = services.neighbours.list();
    let mut replies = services.neighbours.ask(&[sha256], Wishes { info: false, signature: false });
    let mut answers = Vec::new();
    while let Ok(Some(reply)) = timeout_at(deadline, replies.next()).await {
        let has = match reply.answers.first() {
            Some(Answer::Here(_)) => Has::Here,
            Some(Answer::Coming) => Has::Coming,
            Some(Answer::Absent) => Has::Absent,
            None => continue,
        };
        silent.retain(|neighbour| neighbour.id != reply.neighbour.id);
        answers.push(answer(reply.neighbour.address, reply.neighbour.asker, has));
    }
    answers.extend(silent.into_iter().map(|neighbour| answer(neighbour.address, neighbour.asker, Has::Silent)));
    answers
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
