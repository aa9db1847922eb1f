//! From a client's wish to an appended event: authenticate, check, limit, append, acknowledge
