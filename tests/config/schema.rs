//! The published schema says the same as the program: a small validator (it fails on keywords it does not know) accepts
//! what the program accepts and refuses what it refuses.

use failback::config::{parse, schema};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Every key of every table, as the schema has them.
pub(crate) fn every_key() -> Vec<String> {
    let schema = schema();
    let definitions = schema["$defs"].as_object().unwrap().values();
    let tables = definitions.chain([&schema]).filter_map(|table| table["properties"].as_object());
    tables.flat_map(|properties| properties.keys().cloned()).collect()
}

#[test]
fn every_key_and_every_word_is_documented() {
    fn walk(schema: &Value, path: &str) {
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            let text = value["description"].as_str().unwrap_or_default();
            assert!(text.len() > 10, "{path}.{key} has no description: {value}");
        }
        for word in schema["oneOf"].as_array().into_iter().flatten().filter(|choice| choice.get("const").is_some()) {
            assert!(word["description"].is_string(), "{path}: {word}");
        }
    }
    let schema = schema();
    walk(&schema, "");
    schema["$defs"].as_object().unwrap().iter().for_each(|(name, table)| walk(table, name));
    assert_eq!(schema["title"], "failback.toml");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn patterns_are_of_the_kind_that_every_dialect_knows() {
    assert!(!schema().to_string().contains("\\\\p"), "\\\\p is unknown to some");
}

#[test]
fn the_schema_accepts_the_example() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/failback.toml")).unwrap();
    assert_eq!(violations(&text), Vec::<String>::new());
}

#[test]
fn the_schema_and_the_program_refuse_the_same_mistakes() {
    let mistakes = [
        "colour = 1",
        "[pairs.AGG_V]\nalternate = {}",
        "[pairs.AGG_V]\nprimary = { name = \"P\" }",
        "[pairs.AGG_V]\nprimary = { name = \"a/b\", address = \"p:1\" }",
        "[pairs.AGG_V]\nprimary = { name = \"P\", address = \"p\" }",
        "[pairs.AGG_V]\nhealth = { interval = \"5\" }",
        "[pairs.AGG_V]\nhealth = { interval = 5 }",
        "[pairs.AGG_V]\nhealth = { fall = 0 }",
        "[pairs.AGG_V]\nhealth = { fall = 101 }",
        "[pairs.AGG_V]\nhealth = { fall = \"3\" }",
        "[pairs.AGG_V]\nhealth = { check = \"http\" }",
        "[pairs.AGG_V]\nhealth = { expect = [256] }",
        "[pairs.AGG_V]\nfailback = { when = \"always\" }",
        "[pairs.AGG_V]\nfailback = { exempt = [\"host\"] }",
        "[pairs.AGG_V]\nfailback = { resync_http = { url = \"https://gw/\" } }",
        "[pairs.AGG_V]\nfailback = { resync_command = [1] }",
        "[pairs.AGG_V]\nhold = []",
        "[routes.r]\nlisten = []\npair = \"AGG_V\"\n[pairs.AGG_V]",
        "[routes.r]\nlisten = \"4100\"\npair = \"AGG_V\"\n[pairs.AGG_V]",
        "[routes.r]\nlisten = \"0.0.0.0:4100\"\n[pairs.AGG_V]",
        "[routes.r]\nlisten = \"0.0.0.0:1\"\npair = \"AGG_V\"\nproxy_protocol = { send = \"v3\" }\n[pairs.AGG_V]",
        "[routes.r]\nlisten = \"0.0.0.0:1\"\npair = \"AGG_V\"\nproxy_protocol = { accept_from = \"::/0\" }\n[pairs.AGG_V]",
        "[node]\nname = \" padded \"\n[pairs.AGG_V]",
        "[node]\nworkers = -1\n[pairs.AGG_V]",
        "[alerts]\nwebhooks = [{ url = \"ftp://hooks/\" }]\n[pairs.AGG_V]",
        "[alerts]\nsmtp = { host = \"mail:587\", from = \"a@b.c\" }\n[pairs.AGG_V]",
        "[group]\nrole = \"primary\"\n[pairs.AGG_V]",
        "[group]\nrole = \"primary\"\npeer_listen = \"10.0.0.2:9902\"\npairing_key_file = 1\n[pairs.AGG_V]",
        "[group]\nwitnesses = [\"10.0.0.1\"]\n[pairs.AGG_V]",
        "[group]\nshared_address = { address = \"10.0.0.10\", interface = \"eth0\" }\n[pairs.AGG_V]",
        "[group]\nshared_address = { address = \"10.0.0.10/24\", interface = \"eth0:1\" }\n[pairs.AGG_V]",
        "[group]\ntakeover = { auto = \"yes\" }\n[pairs.AGG_V]",
    ];
    for text in mistakes {
        assert_ne!(violations(text), Vec::<String>::new(), "the schema accepts\n{text}");
        assert!(parse(text, Path::new("f.toml")).is_err(), "the program accepts\n{text}");
    }
}

#[test]
fn the_validator_would_notice() {
    let schema = json!({ "type": "object", "properties": { "a": { "minimum": 2 } }, "additionalProperties": false });
    assert_eq!(validate(&schema, &schema, &json!({ "a": 2 }), ""), Vec::<String>::new());
    assert_eq!(validate(&schema, &schema, &json!({ "a": 1 }), "").len(), 1);
    assert_eq!(validate(&schema, &schema, &json!({ "b": 1 }), "").len(), 1);
    assert_eq!(validate(&schema, &schema, &json!([]), "").len(), 1);
}

fn violations(text: &str) -> Vec<String> {
    let document: toml::Value = toml::from_str(text).unwrap();
    let schema = schema();
    validate(&schema, &schema, &serde_json::to_value(document).unwrap(), "")
}

/// Where `value` breaks `schema`; `root` is where `$ref` looks.
fn validate(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for (keyword, wanted) in schema.as_object().into_iter().flatten() {
        let holds = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
            "$ref" => {
                let target = root.pointer(wanted.as_str().unwrap().trim_start_matches('#')).unwrap();
                broken.extend(validate(root, target, value, at));
                true
            }
            "type" => match wanted.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("unknown type {other}"),
            },
            "const" => value == wanted,
            "minimum" => value.as_i64().is_none_or(|n| n >= wanted.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|n| n <= wanted.as_i64().unwrap()),
            "minLength" => value.as_str().is_none_or(|s| s.chars().count() as u64 >= wanted.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|s| s.chars().count() as u64 <= wanted.as_u64().unwrap()),
            "minItems" => value.as_array().is_none_or(|a| a.len() as u64 >= wanted.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|a| a.len() as u64 <= wanted.as_u64().unwrap()),
            "pattern" => value.as_str().is_none_or(|s| matches(wanted.as_str().unwrap(), s)),
            "anyOf" => wanted.as_array().unwrap().iter().any(|choice| validate(root, choice, value, at).is_empty()),
            "oneOf" => {
                let fits = |choice: &&Value| validate(root, choice, value, at).is_empty();
                wanted.as_array().unwrap().iter().filter(fits).count() == 1
            }
            "items" => {
                let items = value.as_array().into_iter().flatten();
                items.for_each(|item| broken.extend(validate(root, wanted, item, &format!("{at}[]"))));
                true
            }
            "required" => {
                let missing = |key: &&Value| value.get(key.as_str().unwrap()).is_none();
                !value.is_object() || !wanted.as_array().unwrap().iter().any(|key| missing(&key))
            }
            "properties" => {
                for (key, inner) in wanted.as_object().unwrap() {
                    broken.extend(
                        value.get(key).into_iter().flat_map(|v| validate(root, inner, v, &format!("{at}.{key}"))),
                    );
                }
                true
            }
            "patternProperties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    let matching = wanted.as_object().unwrap().iter().filter(|(pattern, _)| matches(pattern, key));
                    matching
                        .for_each(|(_, schema)| broken.extend(validate(root, schema, inner, &format!("{at}.{key}"))));
                }
                true
            }
            "additionalProperties" => {
                let listed = |key: &str| schema["properties"].get(key).is_some();
                let patterns = schema["patternProperties"].as_object();
                let covered = |key: &str| patterns.into_iter().flatten().any(|(pattern, _)| matches(pattern, key));
                let unlisted = |key: &str| !listed(key) && !covered(key);
                let others = value.as_object().into_iter().flatten().filter(|(key, _)| unlisted(key));
                for (key, inner) in others {
                    if wanted.is_object() {
                        broken.extend(validate(root, wanted, inner, &format!("{at}.{key}")));
                    } else {
                        broken.push(format!("{at}.{key} is not allowed"));
                    }
                }
                true
            }
            other => panic!("the validator does not know the keyword {other}"),
        };
        if !holds {
            broken.push(format!("{at}: {keyword} {wanted} refuses {value}"));
        }
    }
    broken
}

fn matches(pattern: &str, text: &str) -> bool {
    regex::Regex::new(pattern).unwrap().is_match(text)
}
