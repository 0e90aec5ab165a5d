//! Tests of the keys that say what surrounds a job, and of the matrix.

use super::tests::{check, cpu_time, good, planned, push, shell};
use super::{JobSpecification, Network, Probe, Resources, Specification, explain, parse, plan};

#[test]
fn resources_network_and_ports_are_inherited() {
    let specification = good(
        "resources: {cpus: 0.5, memory: 512MiB}\nnetwork: none\nports: {web: 80, api: 3000}\n\
         jobs:\n  one: {execute: [x]}\n\
         \x20 two: {execute: [x], resources: {cpus: 4, pids: 99}, network: egress, ports: {web: 8080}}\n",
    );
    let [one, two] = &specification.jobs[..] else {
        panic!("two jobs");
    };
    assert_eq!(
        one.resources,
        Resources {
            cpus_milli: 500,
            memory_bytes: 512 << 20,
            pids: 1024
        }
    );
    assert_eq!(one.network, Network::None);
    assert_eq!(one.ports, [("web".into(), 80), ("api".into(), 3000)]);
    assert_eq!(
        two.resources,
        Resources {
            cpus_milli: 4000,
            memory_bytes: 512 << 20,
            pids: 99
        }
    );
    assert_eq!(two.network, Network::Egress);
    assert_eq!(two.ports, [("web".into(), 8080), ("api".into(), 3000)]);
    let alone = good("execute: [x]");
    assert_eq!(alone.jobs[0].resources, Resources::default());
    assert_eq!(alone.jobs[0].network, Network::Egress);
}

#[test]
fn services_are_read() {
    let specification = good(
        "jobs:\n  a:\n    execute: [x]\n    services:\n\
         \x20     db: {image: 'postgres:16', environment: {PATH: /x}, ready: {run: pg_isready, timeout: 90s}}\n\
         \x20     cache: {image: redis, ready: {port: 6379}}\n\
         \x20     mail: {image: mail, ready: {run: [check, '']}}\n\
         \x20     plain: {image: plain}\n",
    );
    let [db, cache, mail, plain] = &specification.jobs[0].services[..] else {
        panic!("four services");
    };
    assert_eq!((db.name.as_str(), db.image.as_str()), ("db", "postgres:16"));
    assert_eq!(db.environment, [("PATH".into(), "/x".into())]);
    let ready = db.ready.as_ref().expect("a probe");
    assert_eq!(ready.timeout_ms, 90_000);
    assert_eq!(
        ready.probe,
        Probe::Command(["sh", "-c", "pg_isready"].map(str::to_owned).to_vec())
    );
    let ready = cache.ready.as_ref().expect("a probe");
    assert_eq!(
        (&ready.probe, ready.timeout_ms),
        (&Probe::Port(6379), 60_000)
    );
    let ready = mail.ready.as_ref().expect("a probe");
    assert_eq!(
        ready.probe,
        Probe::Command(vec!["check".into(), String::new()])
    );
    assert_eq!(plain.ready, None);
}

#[test]
fn each_mistake_about_the_surroundings_has_its_place_and_words() {
    check(
        "execute: [x]\nresources: {cpus: 0, memory: 4G, pids: 0, disk: 1}\n",
        &[
            "2:19: error: `resources.cpus` must be a number of cores from 0.01 to 1024, not `0` (as 2 or 0.5)",
            "2:30: error: `resources.memory` must be a size, not `4G` (as 512MiB or 4GiB)",
            "2:40: error: `resources.pids` must be a whole number from 1 to 4194304, not `0`",
            "2:43: error: unknown key `disk` in `resources`",
        ],
    );
    check(
        "execute: [x]\nresources: {memory: 1KiB, cpus: 1.2345}\n",
        &[
            "2:21: error: `resources.memory` must be from 16MiB to 64TiB",
            "2:33: error: `resources.cpus` must be a number of cores from 0.01 to 1024, not `1.2345` (as 2 or 0.5)",
        ],
    );
    check(
        "execute: [x]\nnetwork: off\n",
        &["2:10: error: `network` must be `none` or `egress`, not `off`"],
    );
    check(
        "execute: [x]\nports: {Web: 80, db: 0, x: http}\n",
        &[
            "2:9: error: `Web` cannot be the name of a port (a lower-case letter, then lower-case letters, digits and _, at most 64)",
            "2:22: error: port `db` must be a whole number from 1 to 65535, not `0`",
            "2:28: error: port `x` must be a whole number from 1 to 65535, not `http`",
        ],
    );
    check(
        "execute: [x]\nports: [80]\n",
        &["2:8: error: `ports` must be a map of names to ports, not a list (as {web: 8080})"],
    );
    let ports = |from: usize| {
        let ports: Vec<String> = (from..from + 11).map(|n| format!("p{n}: 1")).collect();
        ports.join(", ")
    };
    check(
        &format!(
            "ports: {{{}}}\njobs: {{a: {{execute: [x], ports: {{{}}}}}}}\n",
            ports(0),
            ports(11)
        ),
        &["2:33: error: more than 20 ports"],
    );
    check(
        "jobs:\n  a:\n    execute: [x]\n    services:\n      DB: {image: x}\n      a: redis\n      b: {ready: {port: 1}}\n      c: {image: x, ready: {}}\n      d: {image: x, ready: {port: 1, run: y}}\n      e: {image: x, ready: {port: 0, timeout: 11m}}\n      f: {imag: x}\n",
        &[
            "5:7: error: `DB` cannot be the name of a service (lower-case letters, digits, - and _, at most 64, not beginning with - or _)",
            "6:10: error: service `a` must be a map of keys to values, not text (as {image: redis})",
            "7:7: error: service `b` has no `image`",
            "8:28: error: `ready` of service `c` says not how it is known to be ready (as {port: 5432} or {run: pg_isready})",
            "9:43: error: `port` and `run` exclude one another: keep one",
            "10:35: error: `ready.port` must be a whole number from 1 to 65535, not `0`",
            "10:47: error: `ready.timeout` must be at most 10m",
            "11:7: error: service `f` has no `image`",
            "11:11: error: unknown key `imag` in service `f` (did you mean `image`?)",
        ],
    );
    check(
        "execute: [x]\nservices: {db: {image: x}}\n",
        &[
            "2:1: error: unknown key `services` in the specification (it stands in a job, below `jobs`)",
        ],
    );
}

/// The members of the job `t` with this matrix: key, name and values.
fn members(matrix: &str) -> Vec<String> {
    let text = format!("jobs:\n  t:\n    execute: [x]\n    matrix: {matrix}\n");
    let shown = |job: &JobSpecification| {
        let values: Vec<String> = job.matrix.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{} {}", job.key, values.join(" "))
    };
    good(&text).jobs.iter().map(shown).collect()
}

#[test]
fn a_matrix_is_every_combination() {
    assert_eq!(
        members("{v: [3.10, 3.11], os: [a, b]}"),
        [
            "t.1 v=3.10 os=a",
            "t.2 v=3.10 os=b",
            "t.3 v=3.11 os=a",
            "t.4 v=3.11 os=b"
        ]
    );
    assert_eq!(
        members("{v: [1, 2], os: [a, b], exclude: [{v: 1, os: b}, {os: a, v: 2}]}"),
        ["t.1 v=1 os=a", "t.2 v=2 os=b"]
    );
    assert_eq!(
        members("{include: [{v: 1}, {v: 2, x: y}]}"),
        ["t.1 v=1", "t.2 v=2 x=y"]
    );
}

#[test]
fn include_means_what_it_means_to_github() {
    // The example of GitHub's documentation, "Expanding or adding matrix configurations".
    assert_eq!(
        members(
            "{fruit: [apple, pear], animal: [cat, dog], include: [{color: green}, \
             {color: pink, animal: cat}, {fruit: apple, shape: circle}, {fruit: banana}, \
             {fruit: banana, animal: cat}]}"
        ),
        [
            "t.1 fruit=apple animal=cat color=pink shape=circle",
            "t.2 fruit=apple animal=dog color=green shape=circle",
            "t.3 fruit=pear animal=cat color=pink",
            "t.4 fruit=pear animal=dog color=green",
            "t.5 fruit=banana",
            "t.6 fruit=banana animal=cat",
        ]
    );
}

#[test]
fn values_of_a_matrix_are_filled_in() {
    let specification = good(
        "image: 'python:${v}'\nenvironment: {A: '${v}-$v-${v:-x}', v: top}\n\
         setup: [{run: 'echo ${v}', environment: {S: 's${v}'}}]\n\
         jobs:\n  t:\n    name: Tests on ${v}${extra}\n    execute: [x]\n\
         \x20   matrix: {v: [1, 2], include: [{v: 2, extra: '!'}]}\n\
         \x20   services: {db: {image: 'db:${v}', environment: {V: '${v}'}}}\n\
         \x20   cache: {key: '${v}-${hash:a.lock}', paths: [x]}\n\
         \x20 plain: {image: '${v}', execute: [x], needs: [t]}\n",
    );
    let [one, two, plain] = &specification.jobs[..] else {
        panic!("three jobs");
    };
    assert_eq!(one.image.as_deref(), Some("python:1"));
    assert_eq!(
        one.environment,
        [("A", "1-$v-${v:-x}"), ("v", "1")].map(|(k, v)| (k.into(), v.into()))
    );
    assert_eq!(one.setup[0].environment, [("S".into(), "s1".into())]);
    assert_eq!(one.setup[0].name, "echo ${v}");
    assert_eq!(one.services[0].image, "db:1");
    assert_eq!(one.services[0].environment, [("V".into(), "1".into())]);
    assert_eq!(
        one.cache.as_ref().map(|cache| cache.key.as_str()),
        Some("1-${hash:a.lock}")
    );
    assert_eq!(one.check_name(), "Tests on 1");
    assert_eq!(two.check_name(), "Tests on 2!");
    assert_eq!(two.file_key(), "t");
    assert!(two.environment.contains(&("extra".into(), "!".into())));
    // Without a matrix it is text like any other.
    assert_eq!(plain.image.as_deref(), Some("${v}"));
    assert_eq!(plain.check_name(), "plain");
    assert_eq!(plain.needs, ["t.1", "t.2"]);
}

#[test]
fn members_have_names_that_tell_them_apart() {
    let names = |text: &str| -> Vec<String> {
        let jobs = good(text).jobs;
        jobs.iter().map(|job| job.check_name().to_owned()).collect()
    };
    assert_eq!(
        names("jobs: {t: {execute: [x], matrix: {v: [1, 2], os: [a]}}}"),
        ["t (1, a)", "t (2, a)"]
    );
    assert_eq!(
        names("jobs: {t: {name: Tests, execute: [x], matrix: {v: [1, 2]}}}"),
        ["Tests (1)", "Tests (2)"]
    );
    assert_eq!(
        names("jobs: {t: {name: '${v}', execute: [x], matrix: {v: [\"a\\nb\"]}}}"),
        ["a b"]
    );
    check(
        "jobs: {one: {execute: [x]}, t: {name: '${v}', execute: [x], matrix: {v: [one]}}}",
        &[
            "1:29: error: two jobs would be shown as `one` (give the job a `name` with the names of its matrix)",
        ],
    );
}

#[test]
fn each_mistake_in_a_matrix_has_its_place_and_words() {
    let table: &[(&str, &[&str])] = &[
        (
            "[1]",
            &[
                "1:34: error: `matrix` must be a map of lists, not a list (as {version: [\"1\", \"2\"]})",
            ],
        ),
        ("{}", &["1:34: error: `matrix` is empty"]),
        ("{v: []}", &["1:38: error: `matrix.v` is an empty list"]),
        (
            "{v: 1}",
            &[
                "1:38: error: `matrix.v` must be a list, not text (write it as a list, a line `- 1`)",
            ],
        ),
        (
            "{v: [[1]]}",
            &["1:39: error: an entry of `matrix.v` must be text, not a list"],
        ),
        (
            "{v: [1, 1]}",
            &["1:42: error: `1` is there twice in `matrix.v`"],
        ),
        (
            "{a-b: [1]}",
            &[
                "1:35: error: `a-b` cannot be a name of the matrix (its values are environment variables: letters, digits and _)",
            ],
        ),
        (
            "{HOME: [1]}",
            &["1:35: error: `HOME` is set by Herald and cannot be a name of the matrix"],
        ),
        (
            "{v: [1], exclude: [{v: 1}]}",
            &["1:34: error: `matrix` has no member left: all are excluded"],
        ),
        (
            "{ver: [1, 2], exclude: [{vers: 1}]}",
            &["1:59: error: the matrix has no list `vers` (did you mean `ver`?)"],
        ),
        (
            "{include: [x]}",
            &["1:45: error: an entry of `matrix.include` must be a map of names to text, not text"],
        ),
        (
            "{include: [{}]}",
            &["1:45: error: an entry of `matrix.include` is empty"],
        ),
        (
            "{v: [1], include: [{v: [1]}]}",
            &["1:57: error: `v` must be text, not a list"],
        ),
    ];
    let mut wrong = Vec::new();
    for (matrix, expected) in table {
        let text = format!("jobs: {{t: {{execute: [x], matrix: {matrix}}}}}\n");
        let found = super::tests::problems(&text);
        if found != *expected {
            wrong.push((matrix, found));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    check(
        "image: 'x:${vv}'\nenvironment: {A: '${HOME}'}\njobs:\n  t:\n    name: ${w}\n    execute: [{run: '${x}', environment: {S: '${y}'}}]\n    matrix: {version: [1]}\n    environment: {B: 'a ${versio}', version: x}\n    services: {db: {image: '${z}'}}\n    cache: {key: '${k}-${hash:f}', paths: [x]}\n  u: {image: '${u}', execute: [x]}\n",
        &[
            "1:8: error: `${vv}` is no name of the matrix",
            "2:18: error: `${HOME}` is no name of the matrix",
            "5:11: error: `${w}` is no name of the matrix",
            "6:46: error: `${y}` is no name of the matrix",
            "8:22: error: `${versio}` is no name of the matrix (did you mean `version`?)",
            "8:37: warning: `version` is a name of the matrix, whose value wins",
            "9:28: error: `${z}` is no name of the matrix",
            "10:18: error: `${k}` is no name of the matrix",
        ],
    );
    check(
        "jobs: {t: {execute: [x], matrix: {v: ['${hash:/etc/passwd}']}, cache: {key: '${v}', paths: [x]}}}",
        &["1:34: error: `/etc/passwd` leads out of the repository"],
    );
}

/// A list of so many numbers.
fn numbers(count: usize) -> String {
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(", "))
}

#[test]
fn a_matrix_has_limits() {
    let of = |matrix: &str| format!("jobs: {{t: {{execute: [x], matrix: {matrix}}}}}\n");
    let all = of(&format!("{{a: {}, b: {}}}", numbers(16), numbers(16)));
    assert_eq!(good(&all).jobs.len(), 256);
    check(
        &of(&format!("{{a: {}, b: {}}}", numbers(17), numbers(16))),
        &["1:34: error: `matrix` has 272 members; at most 256 are possible"],
    );
    check(
        &of(&format!("{{a: {0}, b: {0}, c: {0}}}", numbers(400))),
        &["1:34: error: the lists of `matrix` have more than 1024 combinations"],
    );
    let three = format!("{{execute: [x], matrix: {{v: {}}}}}", numbers(200));
    check(
        &format!("jobs: {{a: {three}, b: {three}, c: {three}}}"),
        &["1:7: error: more than 500 jobs, with the members of every `matrix`"],
    );
    check(
        &format!(
            "jobs: {{a: {{execute: ['{}'], matrix: {{v: {}}}}}}}",
            "long ".repeat(20_000),
            numbers(200)
        ),
        &["1:100035: error: the job is too long for a matrix of 200 members"],
    );
    let names: Vec<String> = (0..33).map(|n| format!("n{n}: [1]")).collect();
    check(
        &of(&format!("{{{}}}", names.join(", "))),
        &["1:34: error: `matrix` has more than 32 names"],
    );
    // Many members that need many members.
    let began = cpu_time();
    let half = format!("execute: [x], matrix: {{v: {}}}", numbers(250));
    let plan = plan(
        &good(&format!(
            "jobs: {{b: {{{half}, needs: [a]}}, a: {{{half}}}}}"
        )),
        &push("main"),
    );
    assert_eq!(plan.jobs.len(), 500);
    assert!(cpu_time().saturating_sub(began) < std::time::Duration::from_secs(5));
}

#[test]
fn when_and_needs_reach_every_member() {
    let text = "jobs:\n  late: {needs: [t], execute: [x]}\n  t: {execute: [x], matrix: {v: [1, 2]}, when: {paths: ['src/**']}}\n  u: {execute: [x], matrix: {v: [1, 2]}, when: {paths: ['docs/**']}}\n";
    let changed = ["src/main.rs".to_owned()];
    let occasion = super::Occasion {
        changed_paths: Some(&changed),
        ..push("main")
    };
    let why = "no changed file is one that `when` asks for";
    assert_eq!(
        planned(text, &occasion),
        [
            "t.1".to_owned(),
            "t.2".to_owned(),
            "late".to_owned(),
            format!("u.1: {why}"),
            format!("u.2: {why}")
        ]
    );
    check(
        "jobs: {a: {execute: [x], needs: [t.1]}, t: {execute: [x], matrix: {v: [1]}}}",
        &["1:34: error: there is no job `t.1` (did you mean `t`?)"],
    );
}

#[test]
fn a_member_is_a_job_of_the_script() {
    let script = explain(&good(
        "jobs:\n  t:\n    execute: ['echo $HERALD_JOB $v']\n    matrix: {v: [1, 'a b']}\n\
         \x20 end:\n    needs: [t]\n    execute: [echo end]\n    network: none\n    secrets: [TOKEN]\n\
         \x20   resources: {cpus: 0.5}\n    ports: {web: 80}\n    cache: {key: k, paths: [target, ~/x]}\n\
         \x20   services: {db: {image: postgres, environment: {A: \"it's\"}, ready: {run: pg_isready -q}}}\n",
    ));
    let (status, stdout) = shell(&script);
    assert_eq!(
        (status, stdout.as_str()),
        (Some(0), "t.1 1\nt.2 a b\nend\n")
    );
    for said in [
        "# Job t.2: t (a b)\n",
        "# It may use 0.5 cores, 4096 MiB of memory and 1024 processes.\n",
        "# It has no network, except for its services.\n",
        "# Its port 80 is reachable; HERALD_PORT_WEB says where.\n",
        "# Beside it runs db, reachable by this name: the container image postgres.\n",
        "#   with A='it'\\''s'\n",
        "#   ready, within 1m, when in it ends well: sh -c 'pg_isready -q'\n",
        "# Herald sets from its stored secrets: TOKEN\n",
        "# Herald keeps between builds, as k: target ~/x\n",
    ] {
        assert!(script.contains(said), "{said}{script}");
    }
}

#[test]
fn places_of_the_surroundings_are_kept() {
    let parsed = parse(
        b"image: x\nports: {a: 1}\njobs:\n  one:\n    execute: [x]\n    services: {db: {image: x}}\n  two: {execute: [x]}\n",
    );
    let at = |job: &str, key| {
        let problem = parsed.places.error(job, key, String::new(), String::new());
        (problem.line, problem.column)
    };
    assert_eq!(at("one", "services"), (6, 5));
    assert_eq!(at("one", "ports"), (2, 1));
    assert_eq!(at("two", "network"), (7, 3));
    assert_eq!(at("nobody", "image"), (1, 1));
}

#[test]
fn what_was_stored_before_these_keys_is_still_read() {
    let mut value = serde_json::to_value(good("execute: [x]")).expect("serialises");
    let job = value["jobs"][0].as_object_mut().expect("a job");
    for key in [
        "secrets",
        "cache",
        "matrix",
        "resources",
        "network",
        "ports",
        "services",
    ] {
        assert!(job.remove(key).is_some(), "{key}");
    }
    let old: Specification = serde_json::from_value(value).expect("reads back");
    assert_eq!(old, good("execute: [x]"));
}

#[test]
fn hostile_matrices_are_refused_quickly() {
    let lists = format!("a: {0}, b: {0}, c: {0}", numbers(10));
    let excluded = "{a: 0, b: 0, c: x},".repeat(100);
    let jobs = |count: usize, body: &str| -> String {
        (0..count)
            .map(|n| format!("  j{n}: {{{body}}}\n"))
            .collect()
    };
    let long = "long ".repeat(20_000);
    let inputs = [
        format!(
            "jobs:\n  first: {{execute: [x], matrix: &m {{{lists}, exclude: [{excluded}]}}}}\n{}",
            jobs(20, "execute: [x], matrix: *m")
        ),
        format!(
            "jobs:\n  first: {{execute: [x], matrix: &m {{v: {}}}}}\n{}",
            numbers(256),
            jobs(60, "execute: [x], matrix: *m")
        ),
        format!(
            "setup: ['{long}']\njobs:\n{}",
            jobs(99, "execute: [x], matrix: {v: [1, 2, 3, 4, 5]}")
        ),
        format!(
            "environment: {{A: '{}'}}\njobs:\n  a: {{execute: [x], matrix: {{v: ['{}', y]}}}}\n",
            "${v}".repeat(20_000),
            long
        ),
    ];
    let open = format!(
        "environment: {{A: '{}'}}\njobs:\n  a: {{execute: [x], matrix: {{v: {}, x: ['a:']}}}}\n",
        "${".repeat(100_000),
        numbers(256)
    );
    for input in inputs.into_iter().chain([open]) {
        let start: String = input.chars().take(40).collect();
        let began = cpu_time();
        let parsed = parse(input.as_bytes());
        // What is not linear takes minutes here.
        let took = cpu_time().saturating_sub(began);
        assert!(
            took < std::time::Duration::from_secs(5),
            "{start:?}: {took:?}"
        );
        assert!(parsed.specification.is_none(), "{start:?}");
    }
}

proptest::proptest! {
    /// Whatever the matrix is, its members have keys and check runs of their own.
    #[test]
    fn members_are_told_apart(
        lists in proptest::collection::btree_map("[a-c]", proptest::collection::btree_set("[x-z ,]{1,2}", 1..4), 0..3),
        include in proptest::collection::vec(proptest::collection::btree_map("[a-d]", "[x-z ,]{1,2}", 1..3), 0..3),
        exclude in proptest::collection::vec(proptest::collection::btree_map("[a-c]", "[x-z]", 1..3), 0..3),
        name in proptest::option::of("[a-z]{1,3}(\\$\\{[a-d]\\})?"),
    ) {
        let mut matrix = serde_json::to_value(&lists).expect("a map");
        if !include.is_empty() {
            matrix["include"] = serde_json::to_value(&include).expect("a list");
        }
        if !exclude.is_empty() {
            matrix["exclude"] = serde_json::to_value(&exclude).expect("a list");
        }
        let job = serde_json::json!({"execute": ["x"], "matrix": matrix, "name": name.unwrap_or("t".into())});
        let file = serde_json::json!({"jobs": {"job": job, "last": {"execute": ["x"], "needs": ["job"]}}});
        let parsed = parse(file.to_string().as_bytes());
        if let Some(specification) = parsed.specification {
            let names: std::collections::BTreeSet<_> =
                specification.jobs.iter().map(JobSpecification::check_name).collect();
            assert_eq!(names.len(), specification.jobs.len());
            let (last, members) = specification.jobs.split_last().expect("two at least");
            let keys: Vec<_> = members.iter().map(|job| job.key.clone()).collect();
            assert_eq!(last.needs, keys);
        } else {
            assert!(!parsed.problems.is_empty());
        }
    }
}
