//! What a visitor can try while the demo is kept up, as text.

use super::script::ROUTE;
use super::stage::{Files, Ports};

/// How to call the gateway, where to look, and what to change.
pub fn invitation(ports: Ports, files: &Files) -> String {
    let (gateway, admin) = (ports.gateway_url(), ports.admin_url());
    let configuration = files.configuration();
    let (configuration, policies) = (configuration.display(), files.policies());
    let policies = policies.display();
    format!(
        r#"
The gateway stays up, until Ctrl-C. Call it:

  curl -N {gateway}/chat/completions -H 'content-type: application/json' \
    -d '{{"model":"{ROUTE}","stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}'

Or with an SDK of OpenAI's:

  export OPENAI_BASE_URL={gateway} OPENAI_API_KEY=any

  # Python
  from openai import OpenAI
  messages = [{{"role": "user", "content": "Hello"}}]
  print(OpenAI().chat.completions.create(model="{ROUTE}", messages=messages).choices[0].message.content)

  // JavaScript
  import OpenAI from "openai";
  const messages = [{{ role: "user", content: "Hello" }}];
  console.log((await new OpenAI().chat.completions.create({{ model: "{ROUTE}", messages }})).choices[0].message.content);

Look at it:

  {admin}/status    targets, circuits, policies
  {admin}/traces    what was decided for the last calls, and why

Change it while it runs:

  {configuration}
  {policies}
"#
    )
}
