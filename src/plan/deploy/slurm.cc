// Slurm: a batch script that starts vLLM, with Ray between the machines where one does not hold the model.
#include <fmt/format.h>

#include "plan/deploy/engine.h"

namespace aquatint::plan {
namespace {

std::string directives(const Deployment& d) {
  std::string text = fmt::format(
      "#SBATCH --job-name={}\n"
      "#SBATCH --nodes={}\n"
      "#SBATCH --ntasks-per-node=1\n"
      "#SBATCH --gpus-per-node={}\n"
      "#SBATCH --output=%x-%j.log\n",
      label_of(d.name() + "-" + d.candidate.choice.name), d.machines(), d.cards_per_machine());
  // One job a replica, each with its own address.
  if (d.candidate.replicas > 1) text += fmt::format("#SBATCH --array=0-{}\n", d.candidate.replicas - 1);
  return text;
}

constexpr const char* kCluster = R"sh(head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
export RAY_ADDRESS="$address:6379"
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --node-ip-address="$address" --port=6379 --block &
# Until the head listens, and then until every machine has joined.
joined() { python3 -c "import ray, sys; ray.init(log_to_driver=False)
sys.exit(sum(node['Alive'] for node in ray.nodes()) < int(sys.argv[1]))" "$1" 2>/dev/null; }
until joined 1; do sleep 5; done
srun --overlap --nodes=$((machines - 1)) --ntasks=$((machines - 1)) --exclude="$head" \
  ray start --address="$RAY_ADDRESS" --block &
until joined "$machines"; do sleep 5; done
)sh";

std::vector<DeployFile> files(const Deployment& d) {
  std::string text = "#!/bin/sh\n" + directives(d) + script_head(d, "vLLM under Slurm");
  if (d.machines() > 1) text += fmt::format("machines={}\n{}", d.machines(), kCluster);
  text += "echo \"serving on $(hostname):${PORT:-8000}\"\n";
  text +=
      "vllm serve \"$checkpoint\" \\\n  --host \"${HOST:-0.0.0.0}\" --port \"${PORT:-8000}\" \\\n"
      "  --served-model-name " +
      shell_word(d.name()) + flags(vllm_options(d));
  return {{"serve.sbatch", text, true}};
}

}  // namespace

const DeployEngine slurm_engine{
    .name = "slurm",
    .title = "vLLM under Slurm",
    .command = "sbatch serve.sbatch",
    .checks =
        "- Add the site's `#SBATCH --partition`, `--time`, and modules; the checkpoint lies where every "
        "machine "
        "sees it.\n"
        "- The job's log says where it serves, and vLLM's `GPU KV cache size`: the planned room, or more.\n"
        "- The port is open to whoever reaches the machine: set `VLLM_API_KEY`.\n",
    .refusal = vllm_refusal,
    .files = files,
};

}  // namespace aquatint::plan
