//! Whether Kubernetes manifests fit each other and the program: names that lead somewhere, settings that it takes, routes
//! that it has, a command line that it knows, rights that it does without.
//!
//! Judges rendered documents. Runs nothing, and leaves the form of each document to its schema.

use super::deployment::{check_command, is_setting, metric_names, text};
use serde::Deserialize;
use serde_json::Value;
use sg_ai::config;
use std::collections::{BTreeMap, BTreeSet};
use telemetry::metrics;

/// The one secret, which an operator makes of `secrets.env.example`.
const SECRET: &str = "sg-ai";

/// What is wrong, a line each, each with the document that it is in.
pub(super) struct Judge<'a> {
    documents: &'a [Value],
    found: Vec<String>,
}

/// Everything that does not fit.
pub(super) fn problems(documents: &[Value]) -> Vec<String> {
    let mut judge = Judge { documents, found: Vec::new() };
    for workload in judge.workloads() {
        judge.workload(workload);
    }
    judge.services();
    judge.budgets();
    judge.policies();
    judge.scaled();
    judge.found
}

pub(super) fn name(document: &Value) -> String {
    format!("{} {}", word(&document["kind"]), word(&document["metadata"]["name"]))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn words(value: &Value) -> Vec<&str> {
    list(value).iter().map(word).collect()
}

/// Whether all of these labels are among those.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object();
    wanted.is_none_or(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
}

/// Bytes of `512Mi` or `2Gi`.
fn bytes(quantity: &str) -> Option<u64> {
    let (number, unit) = [("Mi", 1 << 20), ("Gi", 1 << 30)]
        .into_iter()
        .find_map(|(suffix, unit)| Some((quantity.strip_suffix(suffix)?, unit)))?;
    Some(number.parse::<u64>().ok()? * unit)
}

/// The words behind a keyword of the Dockerfile, of its last such line.
fn image(keyword: &str) -> String {
    let dockerfile = text("Dockerfile");
    dockerfile.lines().filter_map(|line| line.strip_prefix(keyword)).next_back().unwrap_or_default().trim().to_owned()
}

/// The account that the image runs as.
fn image_user() -> u64 {
    let dockerfile = text("Dockerfile");
    let mut words = dockerfile.split_whitespace().skip_while(|word| *word != "--uid").skip(1);
    words.next().and_then(|uid| uid.parse().ok()).unwrap_or_else(|| panic!("the Dockerfile names no --uid"))
}

/// Names in `secrets.env.example`.
pub(super) fn example_secrets() -> BTreeSet<String> {
    let example = text("deploy/kubernetes/secrets.env.example");
    let lines = example.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect()
}

fn is_secret(variable: &str) -> bool {
    config::SECRET_KEYS.iter().any(|key| config::variable_of(key) == variable || config::env_name(key) == variable)
}

impl<'a> Judge<'a> {
    fn kind(&self, kind: &str) -> Vec<&'a Value> {
        self.documents.iter().filter(|document| document["kind"] == kind).collect()
    }

    fn workloads(&self) -> Vec<&'a Value> {
        [self.kind("StatefulSet"), self.kind("Deployment")].concat()
    }

    fn named(&self, kind: &str, name: &str) -> Option<&'a Value> {
        self.kind(kind).into_iter().find(|document| document["metadata"]["name"] == name)
    }

    fn expect(&mut self, document: &Value, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.found.push(format!("{}: {}", name(document), why()));
        }
    }

    fn workload(&mut self, w: &Value) {
        let (spec, pod) = (&w["spec"], &w["spec"]["template"]["spec"]);
        let labels = &spec["template"]["metadata"]["labels"];
        let selector = &spec["selector"]["matchLabels"];
        self.expect(w, selector.is_object() && selects(selector, labels), || "selects other pods than its own".into());
        let rivals = self.workloads().into_iter();
        let rivals = rivals.filter(|other| selects(selector, &other["spec"]["template"]["metadata"]["labels"]));
        let rivals = rivals.count();
        self.expect(w, rivals == 1, || format!("its selector fits the pods of {rivals} workloads"));
        let account = word(&pod["serviceAccountName"]);
        self.expect(w, self.named("ServiceAccount", account).is_some(), || format!("no service account {account:?}"));
        if w["kind"] == "StatefulSet" {
            let service = word(&spec["serviceName"]);
            self.expect(w, self.named("Service", service).is_some(), || format!("no service {service:?}"));
        }
        for spread in list(&pod["topologySpreadConstraints"]) {
            let own = selects(&spread["labelSelector"]["matchLabels"], labels);
            self.expect(w, own, || "is spread by the pods of another".into());
        }
        let [container] = list(&pod["containers"]) else {
            return self.expect(w, false, || "has not one container".into());
        };
        self.rights(w, pod, container);
        let env = self.environment(w, container);
        self.configuration(w, pod, container, env);
        self.storage(w, container);
        let ports: BTreeMap<&str, &Value> =
            list(&container["ports"]).iter().map(|port| (word(&port["name"]), &port["containerPort"])).collect();
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let get = &container[probe]["httpGet"];
            let (path, port) = (word(&get["path"]), word(&get["port"]));
            self.expect(w, http::ROUTES.contains(&path), || format!("{probe} asks {path:?}, which is no route"));
            self.expect(w, ports.contains_key(port), || format!("{probe} asks port {port:?}, which it has not"));
        }
        let command = words(&container["args"]);
        let checked = check_command(&command);
        self.expect(w, checked.is_ok(), || checked.unwrap_err());
        let image = word(&container["image"]);
        let version = image.rsplit_once(':').map(|(_, version)| version);
        self.expect(w, version == Some(env!("CARGO_PKG_VERSION")), || format!("{image} is not this version"));
    }

    fn rights(&mut self, w: &Value, pod: &Value, container: &Value) {
        let (own, user) = (&container["securityContext"], &pod["securityContext"]);
        let expected = [
            ("runAsNonRoot", &user["runAsNonRoot"], Value::from(true)),
            ("runAsUser", &user["runAsUser"], image_user().into()),
            ("runAsGroup", &user["runAsGroup"], image_user().into()),
            ("fsGroup", &user["fsGroup"], image_user().into()),
            ("seccompProfile", &user["seccompProfile"]["type"], "RuntimeDefault".into()),
            ("automountServiceAccountToken", &pod["automountServiceAccountToken"], false.into()),
            ("enableServiceLinks", &pod["enableServiceLinks"], false.into()),
            ("allowPrivilegeEscalation", &own["allowPrivilegeEscalation"], false.into()),
            ("readOnlyRootFilesystem", &own["readOnlyRootFilesystem"], true.into()),
            ("capabilities", &own["capabilities"], serde_json::json!({"drop": ["ALL"]})),
        ];
        for (field, is, must) in expected {
            self.expect(w, *is == must, || format!("{field} is {is}, not {must}"));
        }
        for field in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
            self.expect(w, pod[field].is_null(), || format!("has {field}"));
        }
        for kind in ["requests", "limits"] {
            for of in ["cpu", "memory", "ephemeral-storage"] {
                let said = container["resources"][kind][of].is_string();
                self.expect(w, said, || format!("has no {kind} of {of}"));
            }
        }
    }

    /// Variables with their values; those of secrets with what the example says.
    fn environment(&mut self, w: &Value, container: &Value) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for from in list(&container["envFrom"]) {
            let map = word(&from["configMapRef"]["name"]);
            let Some(data) = self.named("ConfigMap", map).and_then(|map| map["data"].as_object()) else {
                self.expect(w, false, || format!("no config map {map:?}"));
                continue;
            };
            env.extend(data.iter().map(|(key, value)| (key.clone(), word(value).to_owned())));
        }
        let example = example_secrets();
        for variable in list(&container["env"]) {
            let (name, key) = (word(&variable["name"]), &variable["valueFrom"]["secretKeyRef"]);
            if key.is_object() {
                let fits = key["name"] == SECRET && key["key"] == name && example.contains(name);
                self.expect(w, fits, || format!("{name} comes from {key}, which secrets.env.example has not"));
                self.expect(w, is_secret(name), || format!("{name} is no secret"));
                let optional = key["optional"] == true;
                self.expect(w, optional != (name == "DATABASE_URL"), || format!("{name}: optional is {optional}"));
            } else if variable["valueFrom"]["fieldRef"].is_object() {
                let used = words(&container["args"]).contains(&format!("$({name})").as_str());
                self.expect(w, used, || format!("{name} is for nobody"));
            } else {
                env.insert(name.to_owned(), word(&variable["value"]).to_owned());
            }
        }
        for variable in env.keys() {
            self.expect(w, !is_secret(variable), || format!("{variable} is a secret for everybody to read"));
        }
        env
    }

    /// What the program makes of the variables.
    fn configuration(&mut self, w: &Value, pod: &Value, container: &Value, env: BTreeMap<String, String>) {
        for variable in env.keys() {
            self.expect(w, is_setting(variable), || format!("{variable} is no setting"));
        }
        let loaded = match config::load(&config::Inputs { env, ..config::Inputs::default() }) {
            Ok(loaded) => loaded,
            Err(error) => return self.expect(w, false, || error.to_string()),
        };
        let settings = loaded.config;
        let port = u64::from(settings.http.port);
        let has_port = list(&container["ports"]).iter().any(|of| of["containerPort"] == port);
        self.expect(w, has_port, || format!("listens on {port}, which is no port of its container"));
        self.expect(w, settings.http.listen_address.is_unspecified(), || "listens on loopback".into());
        for service in self.kind("Service") {
            let called = word(&service["metadata"]["name"]);
            let known = settings.http.public_names.iter().any(|name| name == called);
            self.expect(w, known, || format!("does not answer to {called:?}"));
        }
        let limit = bytes(word(&container["resources"]["limits"]["memory"])).unwrap_or(0);
        let (takes, room) = (settings.daemon.max_memory_mb * 1_000_000, limit / 10 * 8);
        self.expect(w, takes > 0 && takes <= room, || format!("may take {takes} bytes of {limit}"));
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap_or(0);
        let needed = settings.daemon.shutdown_grace_s + 5;
        self.expect(w, grace >= needed, || format!("is given {grace} s to stop and may need {needed}"));
        let data_dir = settings.data_dir.unwrap_or_default();
        let mounted =
            list(&container["volumeMounts"]).iter().any(|on| on["mountPath"] == data_dir.to_string_lossy().as_ref());
        self.expect(w, mounted, || format!("{} is not writable", data_dir.display()));
        self.expect(w, image("VOLUME") == data_dir.to_string_lossy(), || "keeps data where the image does not".into());
    }

    fn storage(&mut self, w: &Value, container: &Value) {
        let spec = &w["spec"];
        let volumes = list(&spec["template"]["spec"]["volumes"]).iter();
        let volumes: BTreeSet<&str> = volumes.map(|volume| word(&volume["name"])).collect();
        let claims: BTreeSet<&str> =
            list(&spec["volumeClaimTemplates"]).iter().map(|claim| word(&claim["metadata"]["name"])).collect();
        let mounts = list(&container["volumeMounts"]).iter();
        let mounted: BTreeSet<&str> = mounts.map(|mount| word(&mount["name"])).collect();
        let there: BTreeSet<&str> = volumes.union(&claims).copied().collect();
        self.expect(w, mounted == there, || format!("mounts {mounted:?} of {there:?}"));
        for volume in list(&spec["template"]["spec"]["volumes"]) {
            let bounded = bytes(word(&volume["emptyDir"]["sizeLimit"])).is_some();
            self.expect(w, bounded, || format!("{} has no limit, or is of another kind", volume["name"]));
        }
    }

    /// Workloads whose pods have these labels.
    fn selected(&self, selector: &Value) -> Vec<&'a Value> {
        let all = self.workloads().into_iter();
        all.filter(|w| selects(selector, &w["spec"]["template"]["metadata"]["labels"])).collect()
    }

    fn has_port(workload: &Value, named: &Value) -> bool {
        list(&workload["spec"]["template"]["spec"]["containers"][0]["ports"]).iter().any(|port| port["name"] == *named)
    }

    fn services(&mut self) {
        for service in self.kind("Service") {
            let pods = self.selected(&service["spec"]["selector"]);
            self.expect(service, pods.len() == 1, || format!("leads to {} workloads", pods.len()));
            for port in list(&service["spec"]["ports"]) {
                let there = pods.iter().all(|pod| Self::has_port(pod, &port["targetPort"]));
                self.expect(service, there, || format!("leads to port {}, which is not there", port["targetPort"]));
            }
        }
    }

    fn budgets(&mut self) {
        let budgets = self.kind("PodDisruptionBudget");
        for w in self.workloads() {
            let labels = &w["spec"]["template"]["metadata"]["labels"];
            let own = budgets.iter().filter(|one| selects(&one["spec"]["selector"]["matchLabels"], labels)).count();
            self.expect(w, own == 1, || format!("has {own} disruption budgets"));
        }
        for budget in budgets {
            let pods = self.selected(&budget["spec"]["selector"]["matchLabels"]).len();
            self.expect(budget, pods == 1, || format!("is for {pods} workloads"));
            let most = &budget["spec"]["maxUnavailable"];
            let lets_drain = most.is_string() && most != "0%" || most.as_u64().is_some_and(|most| most > 0);
            self.expect(budget, lets_drain, || "lets no node be drained".into());
        }
    }

    fn policies(&mut self) {
        let policies = self.kind("NetworkPolicy");
        let denies = |policy: &&Value| {
            let spec = &policy["spec"];
            let all = spec["podSelector"].as_object().is_some_and(serde_json::Map::is_empty);
            all && words(&spec["policyTypes"]) == ["Ingress", "Egress"]
                && spec["ingress"].is_null()
                && spec["egress"].is_null()
        };
        if !policies.iter().any(denies) {
            self.found.push("no NetworkPolicy denies what is not allowed".into());
        }
        for policy in policies {
            let spec = &policy["spec"];
            let pods = self.selected(&spec["podSelector"]["matchLabels"]);
            self.expect(policy, !pods.is_empty(), || "is for no pod".into());
            for (kind, peers, field) in [("Ingress", "from", "ingress"), ("Egress", "to", "egress")] {
                let given = !spec[field].is_null();
                let said = words(&spec["policyTypes"]).contains(&kind);
                self.expect(policy, said || !given, || format!("has {field} and not the type {kind}"));
                for rule in list(&spec[field]) {
                    let inside = list(&rule[peers]).iter().filter(|peer| peer["namespaceSelector"].is_null());
                    let inside = inside.filter(|peer| !peer["podSelector"].is_null());
                    let others: Vec<_> =
                        inside.map(|peer| self.selected(&peer["podSelector"]["matchLabels"])).collect();
                    self.expect(policy, others.iter().all(|pods| !pods.is_empty()), || format!("{peers} no pod"));
                    self.expect(policy, list(&rule["ports"]).iter().all(|port| !port["port"].is_null()), || {
                        "opens all ports".into()
                    });
                    let answering = if kind == "Ingress" { pods.clone() } else { others.concat() };
                    for port in list(&rule["ports"]).iter().filter(|port| port["port"].is_string()) {
                        let there =
                            !answering.is_empty() && answering.iter().all(|pod| Self::has_port(pod, &port["port"]));
                        self.expect(policy, there, || format!("opens port {}, which is not there", port["port"]));
                    }
                }
            }
        }
    }

    fn scaled(&mut self) {
        for document in self.kind("ScaledObject") {
            let scaled: ScaledObject = match serde_json::from_value(document.clone()) {
                Ok(scaled) => scaled,
                Err(error) => {
                    self.expect(document, false, || error.to_string());
                    continue;
                }
            };
            let (spec, target) = (&scaled.spec, &scaled.spec.scale_target_ref);
            let found =
                self.named(&target.kind, &target.name).filter(|found| found["apiVersion"] == *target.api_version);
            self.expect(document, found.is_some(), || format!("scales {target:?}, which is not there"));
            let left = found.is_none_or(|found| found["spec"]["replicas"].is_null());
            self.expect(document, left, || "each apply sets the replicas of what it scales".into());
            let most = spec.max_replica_count;
            let order = spec.min_replica_count <= spec.fallback.replicas && spec.fallback.replicas <= most && most > 0;
            self.expect(document, order, || "least, fallback and most replicas are not in order".into());
            self.expect(document, !spec.triggers.is_empty(), || "scales by nothing".into());
            for trigger in &spec.triggers {
                let PrometheusTrigger { query, threshold, activation_threshold, server_address, .. } =
                    &trigger.metadata;
                let names = metric_names(query);
                let known = |name: &String| metrics::ALL.iter().any(|metric| metric.name == *name);
                self.expect(document, !names.is_empty() && names.iter().all(known), || {
                    format!("{query}: not declared")
                });
                let positive = threshold.parse().is_ok_and(|least: f64| least > 0.0);
                let numbers = positive && activation_threshold.parse().is_ok_and(|least: f64| least >= 0.0);
                self.expect(document, numbers, || format!("{threshold:?}, {activation_threshold:?}: no thresholds"));
                let address = server_address.parse::<url::Url>();
                self.expect(document, address.is_ok(), || format!("{server_address} is no address"));
            }
        }
    }
}

/// KEDA's `ScaledObject`, as far as it is used; anything else is refused as a likely slip.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScaledObject {
    #[serde(rename = "apiVersion")]
    _api_version: KedaVersion,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(rename = "metadata")]
    _metadata: Value,
    spec: ScaledSpec,
}

#[derive(Debug, Deserialize)]
enum KedaVersion {
    #[serde(rename = "keda.sh/v1alpha1")]
    V1Alpha1,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScaledSpec {
    scale_target_ref: Target,
    min_replica_count: u32,
    max_replica_count: u32,
    #[serde(rename = "pollingInterval")]
    _polling_interval: u32,
    #[serde(rename = "cooldownPeriod")]
    _cooldown_period: u32,
    fallback: Fallback,
    #[serde(rename = "advanced")]
    _advanced: Advanced,
    triggers: Vec<Trigger>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Target {
    api_version: String,
    kind: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fallback {
    #[serde(rename = "failureThreshold")]
    _failure_threshold: u32,
    replicas: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Advanced {
    /// The autoscaler that KEDA makes of it, in the form of the cluster's own: its schema is asked.
    #[serde(rename = "horizontalPodAutoscalerConfig")]
    _autoscaler: Autoscaler,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Autoscaler {
    #[serde(rename = "behavior")]
    _behavior: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Trigger {
    #[serde(rename = "type")]
    _kind: TriggerKind,
    metadata: PrometheusTrigger,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TriggerKind {
    Prometheus,
}

/// All of KEDA's metadata are texts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PrometheusTrigger {
    server_address: String,
    query: String,
    threshold: String,
    activation_threshold: String,
    #[serde(rename = "ignoreNullValues")]
    _ignore_null_values: String,
}
