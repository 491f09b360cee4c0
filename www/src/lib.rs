//! www
