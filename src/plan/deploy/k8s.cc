// Kubernetes: a claim for the checkpoint, vLLM's image as a Deployment, a Service before it.
#include <fmt/format.h>

#include <cmath>

#include "plan/deploy/engine.h"

namespace aquatint::plan {
namespace {

constexpr double kGiB = 1073741824.0;
constexpr double kRoomForFiles = 1.2;  // beside the weights: tokenizer, a second revision's small files

std::string name_of(const Deployment& d) { return label_of(d.name() + "-" + d.candidate.choice.name); }

std::string folder_of(const Deployment& d) {
  const std::string path = d.checkpoint();
  return "/models/" + path.substr(path.rfind('/') + 1);
}

std::string claim(const Deployment& d) {
  return fmt::format(
      "apiVersion: v1\n"
      "kind: PersistentVolumeClaim\n"
      "metadata:\n"
      "  name: {0}\n"
      "  labels: {{app: {0}}}\n"
      "spec:\n"
      "  accessModes: [{1}]\n"
      "  resources:\n"
      "    requests:\n"
      "      storage: {2:.0f}Gi\n",
      name_of(d), d.candidate.replicas > 1 ? "ReadWriteMany" : "ReadWriteOnce",
      std::ceil(d.candidate.weight_bytes * kRoomForFiles / kGiB) + 1);
}

std::string arguments(const Deployment& d) {
  std::string text;
  const auto add = [&](std::string_view word) { text += fmt::format("            - {}\n", yaml_text(word)); };
  add(folder_of(d));
  add("--served-model-name");
  add(d.name());
  for (const Option& option : vllm_options(d)) {
    add(option.name);
    add(option.value);
  }
  return text;
}

// Loading takes minutes: the start has half an hour, after it a minute of silence is a failure.
constexpr const char* kProbes = R"yaml(          startupProbe:
            httpGet: {path: /health, port: http}
            periodSeconds: 10
            failureThreshold: 180
          readinessProbe:
            httpGet: {path: /health, port: http}
            periodSeconds: 5
          livenessProbe:
            httpGet: {path: /health, port: http}
            periodSeconds: 10
            failureThreshold: 6
)yaml";

std::string deployment(const Deployment& d) {
  return fmt::format(
             "apiVersion: apps/v1\n"
             "kind: Deployment\n"
             "metadata:\n"
             "  name: {0}\n"
             "  labels: {{app: {0}}}\n"
             "spec:\n"
             "  replicas: {1}\n"
             "  strategy: {{type: Recreate}}  # a rolling update needs the cards twice\n"
             "  selector:\n"
             "    matchLabels: {{app: {0}}}\n"
             "  template:\n"
             "    metadata:\n"
             "      labels: {{app: {0}}}\n"
             "    spec:\n"
             "      containers:\n"
             "        - name: vllm\n"
             "          image: vllm/vllm-openai:latest  # pin the version that you tested\n"
             "          args:\n{2}"
             "          env:\n"
             "            - name: VLLM_API_KEY\n"
             "              valueFrom:\n"
             "                secretKeyRef: {{name: {0}, key: api-key, optional: true}}\n"
             "          ports:\n"
             "            - {{name: http, containerPort: 8000}}\n"
             "          resources:\n"
             "            limits:\n"
             "              nvidia.com/gpu: {3}\n",
             name_of(d), d.candidate.replicas, arguments(d), d.candidate.count) +
         kProbes +
         fmt::format(
             "          volumeMounts:\n"
             "            - {{name: models, mountPath: /models, readOnly: true}}\n"
             "            - {{name: shm, mountPath: /dev/shm}}\n"
             "      volumes:\n"
             "        - name: models\n"
             "          persistentVolumeClaim: {{claimName: {}}}\n"
             "        - name: shm  # the cards' processes talk through it\n"
             "          emptyDir: {{medium: Memory, sizeLimit: 8Gi}}\n",
             name_of(d));
}

std::string service(const Deployment& d) {
  return fmt::format(
      "apiVersion: v1\n"
      "kind: Service\n"
      "metadata:\n"
      "  name: {0}\n"
      "  labels: {{app: {0}}}\n"
      "spec:\n"
      "  selector: {{app: {0}}}\n"
      "  ports:\n"
      "    - {{name: http, port: 80, targetPort: http}}\n",
      name_of(d));
}

// A pod to copy the checkpoint through.
std::string loader(const Deployment& d) {
  return fmt::format(
      "# kubectl apply -f claim.yaml -f load.yaml\n"
      "# kubectl cp CHECKPOINT {0}-load:{1}\n"
      "# kubectl delete -f load.yaml\n"
      "apiVersion: v1\n"
      "kind: Pod\n"
      "metadata:\n"
      "  name: {0}-load\n"
      "spec:\n"
      "  restartPolicy: Never\n"
      "  containers:\n"
      "    - name: load\n"
      "      image: debian:stable-slim\n"
      "      command: [sleep, infinity]\n"
      "      volumeMounts:\n"
      "        - {{name: models, mountPath: /models}}\n"
      "  volumes:\n"
      "    - name: models\n"
      "      persistentVolumeClaim: {{claimName: {0}}}\n",
      name_of(d), folder_of(d));
}

std::vector<DeployFile> files(const Deployment& d) {
  return {{"claim.yaml", claim(d)},
          {"deployment.yaml", deployment(d)},
          {"service.yaml", service(d)},
          {"load.yaml", loader(d)}};
}

std::string refusal(const Deployment& d) {
  const std::string machine = more_than_a_machine(d, "k8s");
  return machine.empty() ? vllm_refusal(d) : machine;
}

}  // namespace

const DeployEngine k8s_engine{
    .name = "k8s",
    .title = "vLLM on Kubernetes",
    .command = "kubectl apply -f claim.yaml -f deployment.yaml -f service.yaml",
    .checks =
        "- Copy the checkpoint into the claim first: the head of `load.yaml` says how.\n"
        "- The nodes offer `nvidia.com/gpu` of the planned kind; where there are several kinds add a "
        "`nodeSelector`.\n"
        "- The pods' logs give vLLM's `GPU KV cache size`: the planned room for keys and values, or more.\n"
        "- The port is open to the cluster: a secret of the deployment's name with `api-key` closes it.\n",
    .refusal = refusal,
    .files = files,
};

}  // namespace aquatint::plan
