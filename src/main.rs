//! The process edge.

fn main() {
    if std::env::args().nth(1).as_deref() == Some(backstay::policy::compile::CHILD_VERB) {
        std::process::exit(backstay::policy::compile::run_child());
    }
}
