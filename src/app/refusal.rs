//! What an executor cannot do, said before anything runs.

use crate::domain::Trust;
use crate::ports::executor::Abilities;
use crate::spec::{JobSpecification, Network, Places, Problem};

/// Where jobs would run.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The executor's name.
    pub executor: &'a str,
    /// What it can do.
    pub abilities: Abilities,
    /// Whether it is a server's, and not that of `herald run`.
    pub server: bool,
}

impl Ground<'_> {
    fn place(&self) -> &'static str {
        if self.server {
            "this server"
        } else {
            "this command"
        }
    }

    /// `this server runs jobs as processes (executor `process`)`.
    fn words(&self) -> String {
        let way = if self.abilities.images {
            "in containers"
        } else {
            "as processes"
        };
        format!(
            "{} runs jobs {way} (executor `{}`)",
            self.place(),
            self.executor
        )
    }

    /// Why a key cannot be carried out that needs this.
    fn lacks(&self, key: &str, needs: &str) -> String {
        if self.abilities.images {
            let place = self.place();
            let executor = self.executor;
            format!("{key} cannot be carried out by the executor of {place}, `{executor}`")
        } else {
            format!("{key} {needs}, and {}", self.words())
        }
    }

    /// The way to an executor that can all of it.
    fn way_out(&self) -> String {
        if self.server {
            "use HERALD_EXECUTOR=docker".to_owned()
        } else {
            "use --executor docker".to_owned()
        }
    }
}

/// Why the jobs cannot run there, a problem for each of them and each reason; members of one
/// matrix have theirs together.
pub fn refusals<'a>(
    jobs: impl IntoIterator<Item = &'a JobSpecification>,
    ground: &Ground<'_>,
    trust: Trust,
    places: &Places,
) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for job in jobs {
        for (key, why, hint) in reasons(job, ground, trust) {
            let message = format!("job `{}`: {why}", job.file_key());
            let problem = places.error(job.file_key(), key, message, hint);
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

/// The keys that stand in the way, each with the reason and what to do.
fn reasons(
    job: &JobSpecification,
    ground: &Ground<'_>,
    trust: Trust,
) -> Vec<(&'static str, String, String)> {
    let can = ground.abilities;
    let mut reasons = Vec::new();
    if can.images && job.image.is_none() {
        let why = format!("it has no `image`, and {}", ground.words());
        let hint = "add `image`, say `image: alpine:3`";
        reasons.push(("image", why, hint.to_owned()));
    }
    if !job.services.is_empty() && !can.services {
        let why = ground.lacks("`services`", "need containers");
        reasons.push(("services", why, ground.way_out()));
    }
    if !job.ports.is_empty() {
        if trust != Trust::Trusted {
            let why = "`ports` are only for builds of trusted code, which this is not".to_owned();
            let hint = "give `ports` to a job that a `when` keeps to pushes";
            reasons.push(("ports", why, hint.to_owned()));
        } else if !can.ports {
            let why = ground.lacks("`ports`", "need containers");
            reasons.push(("ports", why, ground.way_out()));
        }
    }
    if job.network == Network::None && !can.network_none {
        let why = ground.lacks("`network: none`", "needs a sandbox or containers");
        let hint = if ground.server && !can.images {
            "use HERALD_PROCESS_SANDBOX=required, or HERALD_EXECUTOR=docker".to_owned()
        } else {
            ground.way_out()
        };
        reasons.push(("network", why, hint));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::{Ground, refusals};
    use crate::domain::Trust;
    use crate::ports::executor::Abilities;
    use crate::spec;

    const ALL: Abilities = Abilities {
        images: true,
        services: true,
        ports: true,
        network_none: true,
    };
    const NOTHING: Abilities = Abilities {
        images: false,
        services: false,
        ports: false,
        network_none: false,
    };

    /// What is said of a specification, `line: text`.
    fn said(text: &str, executor: &str, abilities: Abilities, trust: Trust) -> Vec<String> {
        let parsed = spec::parse(text.as_bytes());
        let specification = parsed.specification.expect("a good specification");
        let ground = Ground {
            executor,
            abilities,
            server: executor != "local",
        };
        refusals(&specification.jobs, &ground, trust, &parsed.places)
            .iter()
            .map(|problem| format!("{}: {problem}", problem.line))
            .collect()
    }

    const DEMANDING: &str = "jobs:\n  db:\n    image: 'x:${v}'\n    matrix: {v: [1, 2]}\n    execute: [x]\n    \
        services: {db: {image: postgres}}\n    ports: {web: 80}\n    network: none\n  plain: {execute: [x]}\n";

    #[test]
    fn processes_have_no_containers() {
        assert_eq!(
            said(DEMANDING, "process", NOTHING, Trust::Trusted),
            [
                "6: error: job `db`: `services` need containers, and this server runs jobs as processes (executor `process`) (use HERALD_EXECUTOR=docker)",
                "7: error: job `db`: `ports` need containers, and this server runs jobs as processes (executor `process`) (use HERALD_EXECUTOR=docker)",
                "8: error: job `db`: `network: none` needs a sandbox or containers, and this server runs jobs as processes (executor `process`) (use HERALD_PROCESS_SANDBOX=required, or HERALD_EXECUTOR=docker)",
            ]
        );
        let sandbox = Abilities {
            network_none: true,
            ..NOTHING
        };
        assert_eq!(
            said(
                "network: none\nexecute: [x]",
                "process",
                sandbox,
                Trust::Trusted
            ),
            [""; 0]
        );
        assert_eq!(
            said(
                "network: none\nexecute: [x]",
                "local",
                NOTHING,
                Trust::Trusted
            ),
            [
                "1: error: job `build`: `network: none` needs a sandbox or containers, and this command runs jobs as processes (executor `local`) (use --executor docker)"
            ]
        );
    }

    #[test]
    fn containers_need_an_image() {
        assert_eq!(
            said(DEMANDING, "docker", ALL, Trust::Trusted),
            [
                "9: error: job `plain`: it has no `image`, and this server runs jobs in containers (executor `docker`) (add `image`, say `image: alpine:3`)"
            ]
        );
    }

    #[test]
    fn not_all_containers_are_the_same() {
        let swarm = Abilities {
            images: true,
            ..NOTHING
        };
        assert_eq!(
            said(
                "image: x\nports: {web: 80}\nnetwork: none\nexecute: [x]",
                "swarm",
                swarm,
                Trust::Trusted
            ),
            [
                "2: error: job `build`: `ports` cannot be carried out by the executor of this server, `swarm` (use HERALD_EXECUTOR=docker)",
                "3: error: job `build`: `network: none` cannot be carried out by the executor of this server, `swarm` (use HERALD_EXECUTOR=docker)",
            ]
        );
    }

    #[test]
    fn ports_are_for_trusted_code() {
        for trust in [Trust::Fork, Trust::Bot] {
            assert_eq!(
                said(
                    "image: x\nports: {web: 80}\nexecute: [x]",
                    "docker",
                    ALL,
                    trust
                ),
                [
                    "2: error: job `build`: `ports` are only for builds of trusted code, which this is not (give `ports` to a job that a `when` keeps to pushes)"
                ]
            );
        }
    }
}
