//! Worker, link and gateway: from the users log to sockets, and every read
