//! Client library: connects, resumes, resends, hands over each event once and in order
