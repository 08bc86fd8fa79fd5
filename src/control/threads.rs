//! Blocking threads are few. Whatever may hang for long gets its share of them and no more, so that a dead name server or
//! mount never keeps a reload waiting.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// All blocking threads of the control plane.
pub const THREADS: usize = 32;
/// Each share of them.
const SHARE: usize = 8;

/// A share of the blocking threads. Cloning it gives another handle on the same one.
#[derive(Debug, Clone)]
pub struct Share(Arc<Semaphore>);

impl Default for Share {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SHARE)))
    }
}

impl Share {
    /// Does `work` on one of its threads, as soon as one is free. A thread is taken until its work is done, whether or not
    /// anybody waits for that. `None`: it panicked, which ends the process.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let permit = Arc::clone(&self.0).acquire_owned().await.ok()?;
        let done = tokio::task::spawn_blocking(move || {
            let _until_done = permit;
            work()
        });
        done.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[tokio::test]
    async fn what_hangs_takes_its_share_and_no_more_though_nobody_waits_for_it() {
        let (share, other) = (Share::default(), Share::default());
        let (started_out, started) = sync_channel(2 * SHARE);
        let mut ends = Vec::new();
        for _ in 0..2 * SHARE {
            let (end, ended) = sync_channel::<()>(1);
            let (share, started) = (share.clone(), started_out.clone());
            let task = tokio::spawn(async move {
                let hang = move || started.send(()).map(|()| ended.recv().is_ok());
                share.run(hang).await
            });
            ends.push((end, task));
        }
        let begun = other.run(move || (0..SHARE).filter_map(|_| started.recv().ok()).count()).await;
        assert_eq!(begun, Some(SHARE));
        ends.iter().for_each(|(_, task)| task.abort());
        assert_eq!((share.0.available_permits(), other.run(|| 7).await), (0, Some(7)));
    }
}
