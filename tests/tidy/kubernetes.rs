//! The Kubernetes manifests, rendered as `kubectl` renders them: each document fits the schema of its kind, and all of them
//! fit each other and the program. Slips are planted to see that they are found.
//!
//! Speaks with no cluster. `kubectl` and `kubernetes-validate` are asked where there are ones.

use super::deployment::root;
use super::manifests::{example_secrets, name, problems};
use super::tools::not_checked;
use serde_json::Value;
use sg_ai::config;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

const OVERLAYS: [&str; 3] = ["small", "workers", "cluster"];

/// Whether both programs are there; says what is not checked without them.
fn are_there() -> bool {
    let runs =
        |program: &str, args: &[&str]| Command::new(program).args(args).output().is_ok_and(|o| o.status.success());
    let all = runs("kubectl", &["version", "--client"]) && runs("kubernetes-validate", &["--version"]);
    if !all {
        not_checked("kubectl with kubernetes-validate", "what Kubernetes makes of the manifests");
    }
    all
}

/// The documents of an overlay as one text.
fn rendered(overlay: &str) -> String {
    let folder = root().join("deploy/kubernetes/overlays").join(overlay);
    let output = Command::new("kubectl").arg("kustomize").arg(&folder).output().unwrap();
    assert!(output.status.success(), "{overlay}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}"))
}

/// What the schemas of the kinds refuse.
fn refused(folder: &Path, documents: &[Value]) -> Option<String> {
    // KEDA's kind has no schema there; the autoscaler that it makes of it has.
    let known = documents.iter().filter(|document| document["kind"] != "ScaledObject").cloned();
    let scaled = documents.iter().filter(|document| document["kind"] == "ScaledObject");
    let scalers = scaled.map(|document| {
        let spec = &document["spec"];
        serde_json::json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": document["metadata"],
            "spec": {
                "scaleTargetRef": spec["scaleTargetRef"], "maxReplicas": spec["maxReplicaCount"],
                "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
            },
        })
    });
    let file = folder.join("documents.yaml");
    let texts: Vec<String> = known.chain(scalers).map(|document| document.to_string()).collect();
    fs::write(&file, texts.join("\n---\n")).unwrap();
    let output = Command::new("kubernetes-validate").args(["--strict", "--quiet"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // A kind without a schema is a warning only.
    (!output.status.success() || !said.trim().is_empty()).then_some(said)
}

#[test]
fn each_document_fits_its_schema_and_all_fit_each_other_and_the_program() {
    if !are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for overlay in OVERLAYS {
        let documents = documents(&rendered(overlay));
        assert_eq!(refused(folder.path(), &documents), None, "{overlay}");
        assert_eq!(problems(&documents), [""; 0], "{overlay}");
        let namespaced = documents.iter().filter(|document| document["kind"] != "Namespace");
        for document in namespaced {
            assert_eq!(document["metadata"]["namespace"], "sg-ai", "{overlay}: {}", name(document));
        }
        let all: BTreeSet<String> = documents.iter().map(name).collect();
        assert_eq!(all.len(), documents.len(), "{overlay}: a name is there twice in {all:?}");
        assert!(!all.iter().any(|name| name.starts_with("Secret ")), "{overlay} holds a secret");
    }
}

#[test]
fn overlays_run_what_they_say() {
    if !are_there() {
        return;
    }
    let of = |overlay: &str| {
        let documents = documents(&rendered(overlay));
        let pods = documents.into_iter().filter(|document| !document["spec"]["template"].is_null());
        let told = |document: Value| {
            let command = document["spec"]["template"]["spec"]["containers"][0]["args"][0].as_str();
            (name(&document), command.unwrap_or_default().to_owned(), document["spec"]["replicas"].as_u64())
        };
        pods.map(told).collect::<BTreeSet<_>>()
    };
    let row = |name: &str, command: &str, replicas: Option<u64>| (name.to_owned(), command.to_owned(), replicas);
    assert_eq!(of("small"), [row("StatefulSet sg-ai", "run", Some(1))].into());
    let workers = [row("Deployment sg-ai-worker", "worker", Some(2)), row("StatefulSet sg-ai", "run", Some(1))];
    assert_eq!(of("workers"), workers.into());
    let cluster = [
        row("Deployment sg-ai-worker", "worker", None),
        row("StatefulSet sg-ai", "continuous", Some(2)),
        row("StatefulSet sg-ai-shadow", "shadow", Some(2)),
    ];
    assert_eq!(of("cluster"), cluster.into());
}

#[test]
fn every_secret_of_the_program_can_be_given() {
    // Candles need no key of the exchange, and nothing else here does.
    let unused = ["BINANCE_API_KEY", "BINANCE_API_SECRET"];
    let all = config::SECRET_KEYS.iter().map(|key| config::variable_of(key));
    let wanted: BTreeSet<String> = all.filter(|name| !unused.contains(&name.as_str())).collect();
    assert_eq!(example_secrets(), wanted);
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "secrets.env"), "git would take secrets.env");
}

/// Slips in the rendered manifests: what stands there, what stands there then, and a word of what is said of it.
const BY_SCHEMA: &[(&str, &str, &str)] = &[
    ("readOnlyRootFilesystem: true", "readOnlyRootFilesytem: true", "readOnlyRootFilesytem"),
    ("serviceName: sg-ai", "serviceNam: sg-ai", "serviceNam"),
    ("kind: PodDisruptionBudget", "kind: PodDisruptionBuget", "PodDisruptionBuget"),
    ("apiVersion: policy/v1", "apiVersion: policy/v3", "policy/v3"),
    ("podSelector: {}", "podSelektor: {}", "podSelektor"),
    ("replicas: 2", "replicas: two", "two"),
    ("containerPort: 8080", "containerPort: eighty", "eighty"),
    ("terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 30s", "30s"),
    ("containerPort: 8080\n", "hostPort: 8080\n", "containerPort"),
    ("whenUnsatisfiable: ScheduleAnyway\n", "minDomains: 1\n", "whenUnsatisfiable"),
    ("periodSeconds: 120\n", "periodSecond: 120\n", "periodSecond"),
];

const BY_REFERENCE: &[(&str, &str, &str)] = &[
    ("path: /sg-ai/health/live", "path: /healthz", "no route"),
    ("- continuous", "- continuos", "no command continuos"),
    ("key: DATABASE_URL", "key: DB_URL", "secrets.env.example has not"),
    ("name: SG_AUDIT_KEY", "name: SG_AUDIT_KEZ", "SG_AUDIT_KEZ"),
    ("configMapRef:\n            name: sg-ai-s", "configMapRef:\n            name: sg-ai-z", "no config map"),
    ("SG__HTTP__PORT: \"8080\"", "SG__HTTP__PROT: \"8080\"", "SG__HTTP__PROT"),
    ("SG__HTTP__PORT: \"8080\"", "SG__HTTP__PORT: \"8081\"", "listens on 8081"),
    ("SG__HTTP__PORT: \"8080\"", "SG__HTTP__PORT: many", "http.port"),
    ("SG__HTTP__LISTEN_ADDRESS: 0.0.0.0", "SG__HTTP__LISTEN_ADDRESS: 127.0.0.1", "loopback"),
    ("SG__HTTP__PUBLIC_NAMES: sg-ai,", "SG__HTTP__PUBLIC_NAMES: ", "does not answer to"),
    ("SG__DAEMON__MAX_MEMORY_MB: \"1536\"", "SG__DAEMON__MAX_MEMORY_MB: \"2048\"", "may take"),
    ("SG__MARKET__S3_REGION: us-east-1", "SG_ACTION_TOKEN: us-east-1", "for everybody to read"),
    ("runAsUser: 10001", "runAsUser: 0", "runAsUser"),
    ("runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"),
    ("type: RuntimeDefault", "type: Unconfined", "seccompProfile"),
    ("          readOnlyRootFilesystem: true\n", "", "readOnlyRootFilesystem"),
    ("- ALL", "- NET_RAW", "capabilities"),
    ("enableServiceLinks: false", "enableServiceLinks: true", "enableServiceLinks"),
    ("terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 8", "to stop"),
    ("memory: 2Gi", "memory: 1Gi", "may take"),
    ("serviceAccountName: sg-ai", "serviceAccountName: sg", "no service account"),
    ("image: registry.example/sg-ai:0.1.0", "image: registry.example/sg-ai:latest", "not this version"),
    ("- mountPath: /var/lib/sg-ai", "- mountPath: /var/lib/sg", "not writable"),
    ("  - emptyDir:\n          sizeLimit: 512Mi", "  - emptyDir: {}", "no limit"),
    ("targetPort: http", "targetPort: web", "is not there"),
    ("- port: http\n", "- port: web\n", "is not there"),
    ("maxUnavailable: 1\n", "maxUnavailable: 0\n", "no node be drained"),
    (
        "  podSelector:\n    matchLabels:\n      app.kubernetes.io/component: daemon",
        "  podSelector:\n    matchLabels:\n      app.kubernetes.io/component: deamon",
        "is for no pod",
    ),
    (
        "  selector:\n    matchLabels:\n      app.kubernetes.io/component: worker",
        "  selector:\n    matchLabels:\n      app.kubernetes.io/component: wroker",
        "selects other pods than its own",
    ),
    (
        "podSelector: {}\n  policyTypes:\n  - Ingress\n  - Egress",
        "podSelector: {}\n  policyTypes:\n  - Ingress",
        "denies",
    ),
    ("minReplicaCount: 0", "minReplicasCount: 0", "minReplicasCount"),
    ("maxReplicaCount: 20", "maxReplicaCount: many", "invalid type"),
    ("      threshold: \"4\"\n", "", "missing field"),
    ("threshold: \"4\"", "threshold: some", "no thresholds"),
    ("kind: Deployment\n    name: sg-ai-worker", "kind: Deployment\n    name: sg-ai-workers", "which is not there"),
];

#[test]
fn planted_slips_are_found() {
    if !are_there() {
        return;
    }
    let (folder, good) = (tempfile::tempdir().unwrap(), rendered("cluster"));
    let planted = |(from, to, _): &(&str, &str, &str)| {
        assert!(good.contains(from), "nothing to spoil: {from}");
        documents(&good.replace(from, to))
    };
    for slip in BY_SCHEMA {
        let said = refused(folder.path(), &planted(slip)).unwrap_or_default();
        assert!(said.contains(slip.2), "{slip:?}: {said:?}");
    }
    for slip in BY_REFERENCE {
        let said = problems(&planted(slip)).join("\n");
        assert!(said.contains(slip.2), "{slip:?}: {said:?}");
    }
}
