//! The composition root and the cursus binary
