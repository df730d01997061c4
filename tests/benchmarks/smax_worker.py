"""Speed of JAX SMAX, measured in a process of its own; bench_skirmish.py starts it.

    python smax_worker.py MAP BATTLES SECONDS

plays uniform random available actions against SMAX's scripted enemy, all inside one compiled scan (SMAX cannot be
stepped faster in any other way), and prints one line of JSON: steps per CPU and wall second, compilation in seconds; or
`missing`, why there is nothing to measure.
"""

import json
import sys
import time


def scan_of(env, battles, length):
    """A compiled function (random key, carry) -> carry that plays `length` steps of all battles."""
    import jax
    import jax.numpy as jnp

    def act(key, avail):
        scores = jax.random.uniform(key, avail.shape)
        return jnp.argmax(jnp.where(avail, scores, -1.0), axis=-1)

    def one_step(carry, key):
        obs, state = carry
        avail = jax.vmap(env.get_avail_actions)(state)
        action_keys = dict(zip(env.agents, jax.random.split(key, len(env.agents))))
        actions = {agent: act(action_keys[agent], avail[agent]) for agent in env.agents}
        obs, state, reward, _, _ = jax.vmap(env.step)(jax.random.split(key, battles), state, actions)
        return (obs, state), reward[env.agents[0]].sum()

    @jax.jit
    def play(key, carry):
        return jax.lax.scan(one_step, carry, jax.random.split(key, length))

    return play


def measure(map_name, battles, seconds):
    """The result as a dictionary."""
    try:
        import jax
        import jaxmarl
        from jaxmarl.environments.smax import HeuristicEnemySMAX, map_name_to_scenario
    except ImportError as error:
        return {"missing": f"{error.name} is not installed"}
    try:
        scenario = map_name_to_scenario(map_name)
    except KeyError:
        return {"missing": "SMAX has no such map"}
    env = HeuristicEnemySMAX(scenario=scenario)
    length = 128 if battles >= 16 else 1024
    start = time.perf_counter()
    key = jax.random.PRNGKey(0)
    carry = jax.vmap(env.reset)(jax.random.split(key, battles))
    play = scan_of(env, battles, length)
    for _ in range(2):  # the first result's types differ a little from reset's: compiled twice
        carry, _ = jax.block_until_ready(play(key, carry))
    compiled = time.perf_counter() - start
    steps, cpu, wall = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - wall < seconds:
        key, _ = jax.random.split(key)
        carry, _ = jax.block_until_ready(play(key, carry))
        steps += battles * length
    return {
        "per_cpu": steps / (time.process_time() - cpu),
        "per_wall": steps / (time.perf_counter() - wall),
        "compile_s": compiled,
        "version": getattr(jaxmarl, "__version__", "?"),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
