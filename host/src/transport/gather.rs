//! Arrays of replies (2025-era J-07).

use crate::serve::Answer;
use bytes::Bytes;
use tokio::task::JoinSet;

/// Waits for all answers and gives the replies as one array; nothing when there are none.
pub(super) async fn gather(answers: Vec<Answer>) -> Option<Bytes> {
    let mut replies = Vec::new();
    let mut later = JoinSet::new();
    for answer in answers {
        match answer {
            Answer::Now(reply) => replies.push(reply),
            Answer::Later(answer) => {
                later.spawn(answer);
            }
        }
    }
    while let Some(reply) = later.join_next().await {
        replies.extend(reply.ok().flatten());
    }
    if replies.is_empty() {
        return None;
    }
    let mut array = Vec::with_capacity(replies.iter().map(|reply| reply.len() + 1).sum::<usize>() + 2);
    array.push(b'[');
    for (index, reply) in replies.iter().enumerate() {
        if index > 0 {
            array.push(b',');
        }
        array.extend_from_slice(reply);
    }
    array.push(b']');
    Some(array.into())
}
