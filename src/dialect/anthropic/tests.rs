//! Tests across the whole dialect.
