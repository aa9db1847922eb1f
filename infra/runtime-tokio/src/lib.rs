//! The production runtime: tasks, timers, threads, time and chance on tokio
