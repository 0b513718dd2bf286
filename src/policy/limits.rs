//! What one call of a policy may use. Everything a guest can ask for is
//! bounded here or where it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The limits of one call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Time on the processor, in steps of a millisecond.
    pub time: Duration,
    /// Linear memory in bytes, over all memories of the component.
    pub memory: usize,
    /// Stack in bytes.
    pub stack: usize,
    /// Core instances: adapters and generated glue are instances of their own, of
    /// which a Python policy has some forty.
    pub instances: usize,
    pub memories: usize,
    pub tables: usize,
    /// Elements over all tables.
    pub table_elements: usize,
    /// Bytes the host may set aside for what a guest hands it at once.
    pub hostcall_fuel: usize,
    /// Resource handles a guest may hold.
    pub handles: usize,
    /// Lines written to the log, and bytes of each.
    pub log_lines: u32,
    pub log_line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(20),
            memory: 16 << 20,
            stack: 512 << 10,
            instances: 64,
            memories: 2,
            tables: 16,
            table_elements: 64 << 10,
            hostcall_fuel: 1 << 20,
            handles: 64,
            log_lines: 64,
            log_line_bytes: 1024,
        }
    }
}

/// Instances alive and bytes of linear memory in use, over all policies of an
/// engine: what a test needs to see that everything is given back.
#[derive(Debug, Default)]
pub struct Usage {
    pub instances: AtomicUsize,
    pub memory: AtomicUsize,
}

/// Counts what one store holds: wasmtime's own limits are per memory and per
/// table, these are sums.
#[derive(Debug)]
pub struct Limiter {
    memory: usize,
    memory_max: usize,
    elements: usize,
    elements_max: usize,
    instances_max: usize,
    memories_max: usize,
    tables_max: usize,
    /// What was refused, for the reason of the fault that often follows.
    refused: Option<&'static str>,
    usage: Arc<Usage>,
}

impl Limiter {
    pub fn new(limits: &Limits, usage: Arc<Usage>) -> Self {
        usage.instances.fetch_add(1, Ordering::Relaxed);
        Self {
            memory: 0,
            memory_max: limits.memory,
            elements: 0,
            elements_max: limits.table_elements,
            instances_max: limits.instances,
            memories_max: limits.memories,
            tables_max: limits.tables,
            refused: None,
            usage,
        }
    }

    /// Bytes of linear memory held.
    pub const fn memory(&self) -> usize {
        self.memory
    }

    pub fn refused(&self) -> Option<&'static str> {
        self.refused
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.usage.instances.fetch_sub(1, Ordering::Relaxed);
        self.usage.memory.fetch_sub(self.memory, Ordering::Relaxed);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let total = self.memory.saturating_add(more);
        if total > self.memory_max {
            self.refused = Some("memory limit reached");
            return Ok(false);
        }
        self.memory = total;
        self.usage.memory.fetch_add(more, Ordering::Relaxed);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > self.elements_max {
            self.refused = Some("table limit reached");
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.instances_max
    }

    fn tables(&self) -> usize {
        self.tables_max
    }

    fn memories(&self) -> usize {
        self.memories_max
    }
}
