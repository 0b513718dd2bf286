//! A compiler that takes its time, or breaks down, when a test wants it.
#![expect(clippy::unwrap_used, reason = "helpers fail like tests")]

use std::fs;
use std::time::Duration;

use backstay::policy::Compiler;

/// Compiles like the binary, but holds the one run that finds a token until it
/// is let go.
pub struct SlowCompiler {
    directory: tempfile::TempDir,
}

impl SlowCompiler {
    pub fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let script = format!(
            "#!/bin/sh\nif [ -e {broken} ]; then kill -9 $$; fi\nif /bin/rmdir {token} 2>/dev/null; then\n: > {held}\n\
             while [ ! -e {go} ]; do /bin/sleep 0.02; done\nfi\nexec {binary} \"$@\"\n",
            broken = at("broken"),
            token = at("token"),
            held = at("held"),
            go = at("go"),
            binary = env!("CARGO_BIN_EXE_backstay"),
        );
        fs::write(directory.path().join("compiler"), script).unwrap();
        let runnable = fs::Permissions::from_mode(0o700);
        fs::set_permissions(directory.path().join("compiler"), runnable).unwrap();
        Self { directory }
    }

    pub fn compiler(&self) -> Compiler {
        Compiler::Child(self.directory.path().join("compiler"))
    }

    pub fn hold_next(&self) {
        fs::create_dir(self.directory.path().join("token")).unwrap();
    }

    /// The runs to come fail, until they are let succeed.
    pub fn break_down(&self) {
        fs::write(self.directory.path().join("broken"), "").unwrap();
    }

    pub fn mend(&self) {
        fs::remove_file(self.directory.path().join("broken")).unwrap();
    }

    pub fn wait_until_held(&self) {
        let held = self.directory.path().join("held");
        // A test that waits for ever is ended by its runner.
        while !held.exists() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    pub fn let_go(&self) {
        fs::write(self.directory.path().join("go"), "").unwrap();
    }
}
