//! JSON Schemas as each dialect takes them (wire formats §4.9).

use serde_json::{Value, json};

use crate::rows::{ANTHROPIC, CHAT, GEMINI, RESPONSES, Rows, is};

/// A promise of this schema, by a client of Chat Completions.
fn promised(schema: &Value) -> Value {
    json!({ "response_format": { "type": "json_schema",
        "json_schema": { "name": "x", "schema": schema } } })
}

/// The schema for one property.
fn of(property: &Value) -> Value {
    json!({ "type": "object", "properties": { "a": property }, "required": ["a"],
            "additionalProperties": false })
}

#[test]
fn to_anthropic() {
    let mut rows = Rows::of("§4.9");
    let format = |schema: Value| json!({ "output_config": { "format": { "schema": schema } } });
    let property = |seen: Value| format(json!({ "properties": { "a": seen } }));
    let open = json!({ "type": "object", "properties": { "a": { "type": "object",
        "properties": { "b": { "type": "integer" } } } } });
    rows.request(
        "additionalProperties is false everywhere",
        CHAT,
        &promised(&open),
        [(
            ANTHROPIC,
            is(format(json!({ "additionalProperties": false, "required": null,
            "properties": { "a": { "additionalProperties": false } } }))),
        )],
    );
    let any = of(&json!({ "oneOf": [{ "type": "string" }, { "type": "null" }] }));
    rows.request(
        "oneOf is anyOf",
        CHAT,
        &promised(&any),
        [(
            ANTHROPIC,
            is(property(json!({ "oneOf": null,
                            "anyOf": [{ "type": "string" }, { "type": "null" }] }))),
        )],
    );
    for (name, constraint) in [
        ("minimum", json!({ "type": "integer", "minimum": 3 })),
        ("maxLength", json!({ "type": "string", "maxLength": 3 })),
        ("multipleOf", json!({ "type": "integer", "multipleOf": 3 })),
        ("maxItems", json!({ "type": "array", "items": { "type": "string" }, "maxItems": 3 })),
        (
            "uniqueItems",
            json!({ "type": "array", "items": { "type": "string" },
                                "uniqueItems": true }),
        ),
        ("not", json!({ "type": "string", "not": { "const": "x" } })),
    ] {
        rows.count();
        rows.request(
            name,
            CHAT,
            &promised(&of(&constraint)),
            [(ANTHROPIC, is(property(json!({ name: null }))))],
        );
    }
    let least = of(&json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 }));
    rows.request(
        "minItems 1",
        CHAT,
        &promised(&least),
        [(ANTHROPIC, is(property(json!({ "minItems": 1 }))))],
    );
    let nullable = of(&json!({ "type": ["string", "null"] }));
    rows.request(
        "type arrays",
        CHAT,
        &promised(&nullable),
        [(ANTHROPIC, is(property(json!({ "type": ["string", "null"] }))))],
    );
    let dated = of(&json!({ "type": "string", "format": "date-time" }));
    rows.request(
        "format",
        CHAT,
        &promised(&dated),
        [(ANTHROPIC, is(property(json!({ "format": "date-time" }))))],
    );
    let chosen = of(&json!({ "enum": ["x", 1, null] }));
    rows.request(
        "enum of primitives",
        CHAT,
        &promised(&chosen),
        [(ANTHROPIC, is(property(json!({ "enum": ["x", 1, null] }))))],
    );
    let pointed = json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/n" } },
        "$defs": { "n": { "type": "object", "properties": { "b": { "type": "string" } } } } });
    rows.request(
        "$ref, $defs",
        CHAT,
        &promised(&pointed),
        [(
            ANTHROPIC,
            is(format(json!({ "properties": { "a": { "$ref": "#/$defs/n" } },
                          "$defs": { "n": { "additionalProperties": false } } }))),
        )],
    );
    rows.done();
}

#[test]
fn to_openai() {
    let mut rows = Rows::of("§4.9");
    let format = |schema: &Value| {
        json!({ "output_config": { "format":
        { "type": "json_schema", "schema": schema } } })
    };
    let strict = |strict: Value| {
        [(CHAT, is(json!({ "response_format": { "json_schema": { "strict": strict } } })))]
    };
    let closed = of(&json!({ "type": ["string", "null"] }));
    rows.request("all required and closed", ANTHROPIC, &format(&closed), strict(json!(true)));
    let open = json!({ "type": "object", "properties": { "a": { "type": "string" } },
                       "required": ["a"] });
    rows.request("not closed", ANTHROPIC, &format(&open), strict(Value::Null));
    let optional = json!({ "type": "object", "properties": { "a": { "type": "string" } },
                           "additionalProperties": false });
    rows.request("not all required", ANTHROPIC, &format(&optional), strict(Value::Null));
    for (schema, expected) in [(&closed, true), (&open, false), (&optional, false)] {
        rows.request(
            "to Responses it is always said",
            ANTHROPIC,
            &format(schema),
            [(RESPONSES, is(json!({ "text": { "format": { "strict": expected } } })))],
        );
    }
    rows.done();
}

#[test]
fn to_gemini_and_from_it() {
    let mut rows = Rows::of("§4.9");
    let rich = of(&json!({ "anyOf": [{ "type": "integer", "minimum": 1 },
                                     { "type": "array", "items": { "$ref": "#" } }] }));
    rows.request("responseJsonSchema takes it as it is", CHAT, &promised(&rich), [(
        GEMINI,
        is(json!({ "generationConfig": { "responseJsonSchema": rich, "responseSchema": null } })),
    )]);
    let old = json!({ "type": "OBJECT", "properties": {
        "a": { "type": "STRING", "nullable": true, "enum": ["x", "y"] },
        "b": { "type": "ARRAY", "items": { "type": "INTEGER" }, "maxItems": "3" },
        "c": { "anyOf": [{ "type": "NUMBER" }, { "type": "BOOLEAN" }] } } });
    let asked = json!({ "generationConfig": { "responseMimeType": "application/json",
                                              "responseSchema": old } });
    let seen = json!({ "type": "object", "properties": {
        "a": { "type": ["string", "null"] },
        "b": { "type": "array", "items": { "type": "integer" }, "maxItems": 3 },
        "c": { "anyOf": [{ "type": "number" }, { "type": "boolean" }] } } });
    rows.request(
        "responseSchema in today's words",
        GEMINI,
        &asked,
        [(CHAT, is(json!({ "response_format": { "json_schema": { "schema": seen } } })))],
    );
    rows.done();
}

/// The schemas of tools that promise nothing are left as they are.
#[test]
fn of_tools() {
    let mut rows = Rows::of("§4.9");
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string",
        "pattern": "^x", "minLength": 2 } }, "patternProperties": { "^y": {} } });
    let tool = json!({ "tools": [{ "type": "function",
                                   "function": { "name": "f", "parameters": schema } }] });
    rows.request(
        "unchanged",
        CHAT,
        &tool,
        [
            (ANTHROPIC, is(json!({ "tools": [{ "input_schema": schema }] }))),
            (
                GEMINI,
                is(json!({ "tools": [{ "functionDeclarations":
            [{ "parametersJsonSchema": schema }] }] })),
            ),
            (RESPONSES, is(json!({ "tools": [{ "parameters": schema, "strict": false }] }))),
        ],
    );
    rows.done();
}
