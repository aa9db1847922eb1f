//! The thread of one end of the link: all its connections, with a tokio of its own, so that what is read
//! is handed over by the thread that the kernel woke.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;

/// A thread that runs a future until it is dropped.
pub(crate) struct Thread {
    stop: Arc<Notify>,
}

impl Thread {
    /// Starts it with what `run` makes within its tokio.
    pub(crate) fn start<F: Future<Output = ()>>(
        name: &str,
        run: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = stopped.notified() => {}
                    () = run() => {}
                }
            });
        };
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(run)?;
        Ok(Self { stop })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}
