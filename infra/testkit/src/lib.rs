//! A whole platform in a test: nodes, clients, faults, simulation and the history checker
