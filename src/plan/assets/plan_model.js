'use strict';
// The planner's closed form: step_time.cc, load.cc, cost.cc, candidate.cc and ranking.cc again, over the amounts and
// rates of page/data.cc. tests/peers/test_plan_page.py holds both to each other.
const planModel = (() => {
  // Of two that overlap the slower, and a little more where they take alike.
  const overlapped = (a, b) => Math.sqrt(Math.sqrt(a ** 4 + b ** 4));
  const within = (layers, context) => layers.window > 0 ? Math.min(context, layers.window) : context;
  const sum = (list, term) => list.reduce((total, each) => total + term(each), 0);

  function linears(e, tokens) {
    return sum(e.matrices, m => {
      const touched = m.expert ? 1 - (1 - e.experts_share) ** tokens : 1;
      return overlapped(m.bytes * touched / e.weight_rate,
                        2 * m.passed * tokens / (m.quantized ? e.linear_rate : e.head_rate));
    });
  }

  // On a CPU: generated rows stream the weights once for every eight of them, prompts run at the rate of products.
  function measured(k, weights, rows, prompt) {
    const bytes = weights * k.bits / 8;
    const one = bytes / k.one_row;
    const eight = Math.max(one, bytes / k.eight_rows);
    const few = rows <= 0 ? 0 : one + (Math.min(rows, 8) - 1) / 7 * (eight - one);
    return few * Math.max(1, rows / 8) + 2 * weights * prompt / k.prompt;
  }

  function measuredLinears(e, s) {
    const touched = 1 - (1 - e.experts_share) ** s.sequences;
    const weights = sum(e.matrices, m => m.expert ? Math.max(m.passed, m.weights * touched) : m.passed);
    return measured(e.kernel, weights, s.sequences, s.prompt);
  }

  function headSeconds(e, rows) {
    if (e.kernel) return measured(e.head_kernel, e.head_weights, rows, 0);
    return rows > 0 ? overlapped(e.head_bytes / e.weight_rate, 2 * e.head_weights * rows / e.head_rate) : 0;
  }

  function attention(e, s) {
    const macs = sum(e.cache, c => c.macs * within(c, s.context)) * s.sequences;
    const bytes = sum(e.cache, c => c.bytes * within(c, s.context)) * s.sequences;
    const prompt = sum(e.cache, c =>
      c.prompt_macs * Math.min(s.positions, c.window > 0 ? s.prompt * c.window : s.positions));
    return overlapped(bytes / e.cache_rate, 2 * macs / e.attention_rate) + 2 * prompt / e.attention_rate;
  }

  // Seconds of a step: sequences that generate a token each, and tokens of prompts beside them.
  function stepSeconds(e, s) {
    const tokens = s.sequences + s.prompt;
    return (e.kernel ? measuredLinears(e, s) : linears(e, tokens)) + headSeconds(e, s.sequences + s.finished) +
      attention(e, s) + e.collectives * (e.collective_seconds + tokens * e.token_seconds) +
      e.step_seconds + e.sequence_seconds * s.sequences;
  }

  const withPrompts = (q, sequences, prompts) => ({
    sequences, context: q.prompt_tokens + q.generate_tokens / 2, prompt: prompts * q.prompt_tokens,
    positions: prompts * q.prompt_tokens * (q.prompt_tokens + 1) / 2, finished: prompts,
  });

  function atBatch(e, q, sequences) {
    const prompts = sequences / q.generate_tokens;
    const without = stepSeconds(e, withPrompts(q, sequences, 0)), one = stepSeconds(e, withPrompts(q, sequences, 1));
    const token = prompts >= 1 ? stepSeconds(e, withPrompts(q, sequences, prompts)) : without + prompts * (one - without);
    return {sequences, token, first: one, tokens: sequences / token};
  }

  // The largest whole number in [1, most] that holds, where all below one that holds do too; 0: none.
  function largest(most, holds) {
    if (most < 1 || !holds(1)) return 0;
    let good = 1, bad = most + 1;
    while (bad - good > 1) {
      const middle = Math.floor((good + bad) / 2);
      if (holds(middle)) good = middle; else bad = middle;
    }
    return good;
  }

  function sequenceLimit(e, q) {
    const context = q.prompt_tokens + q.generate_tokens;
    const fit = Math.floor(e.cache_room / sum(e.cache, c => c.bytes * within(c, context)));
    return {fit, most: Math.min(fit, Math.floor(e.step_tokens / (1 + q.prompt_tokens / q.generate_tokens)))};
  }

  function atMost(e, q, limits) {
    const meets = s => (!limits.tpot || s.token <= limits.tpot) && (!limits.ttft || s.first <= limits.ttft);
    const sequences = largest(sequenceLimit(e, q).most, n => meets(atBatch(e, q, n)));
    return sequences > 0 ? atBatch(e, q, sequences) : null;
  }

  function atRate(e, q, rate) {
    const {most} = sequenceLimit(e, q), wanted = rate * q.generate_tokens;
    const few = largest(most, n => atBatch(e, q, n).tokens < wanted);
    if (most < 1 || few >= most) return null;
    const s = atBatch(e, q, few + 1);
    s.tokens = wanted;
    const busy = Math.min(0.99, rate * stepSeconds(e, {...withPrompts(q, 0, 1), context: 0}));
    s.first += s.token / 2 + busy / (2 * (1 - busy)) * s.first;
    return s;
  }

  const hoursPerMonth = 730, rounding = 1e-9;
  const unserved = 100;  // what does not fit comes after whatever runs

  function serve(c, q, wanted) {
    const served = {fit: 0, replicas: 1, most: null, loaded: null};
    if (!c.engine) return served;
    served.fit = sequenceLimit(c.engine, q).fit;
    if (served.fit < 1) return served;
    served.most = atMost(c.engine, q, q) || atMost(c.engine, q, {}) || {sequences: 0, token: 0, first: 0, tokens: 0};
    served.loaded = served.most;
    const carried = served.most.tokens / q.generate_tokens;
    if (wanted <= 0 || carried <= 0) return served;
    served.replicas = Math.min(1e6, Math.ceil(wanted / carried * (1 - rounding)));
    served.loaded = atRate(c.engine, q, wanted / served.replicas) || served.most;
    return served;
  }

  function missesOf(c, q, r) {
    const misses = [], miss = (target, is, limit) => misses.push({target, ratio: is / limit});
    if (r.fit < 1) {
      const context = q.prompt_tokens + q.generate_tokens, m = c.memory;
      miss('memory', m.total - m.cache + m.cache_per_token * context, m.total);
    } else {
      if (q.tpot > 0 && r.loaded.token > q.tpot) miss('TPOT', r.loaded.token, q.tpot);
      if (q.ttft > 0 && r.loaded.first > q.ttft) miss('TTFT', r.loaded.first, q.ttft);
    }
    if (!c.shared) misses.push({target: 'heads', ratio: NaN});
    if (c.recovery === null) miss('quality', NaN, q.max_loss);
    else if (1 - c.recovery > q.max_loss + rounding) miss('quality', 1 - c.recovery, q.max_loss);
    if (q.budget > 0 && r.month > q.budget) miss('budget', r.month, q.budget);
    return misses;
  }

  // Of one candidate, under a question {prompt_tokens, generate_tokens, rate, peak, ttft, tpot, max_loss, budget,
  // prices}.
  function judge(c, q) {
    const r = serve(c, q, q.rate * q.peak);
    const cards = c.count * r.replicas, price = q.prices[c.gpu];
    const asked = q.rate * q.generate_tokens, tokens = asked > 0 ? asked : r.loaded ? r.loaded.tokens : 0;
    r.hour = price === undefined ? NaN : cards * price;
    r.month = r.hour * hoursPerMonth;
    r.million = r.hour / (tokens * 3600) * 1e6;
    r.watts = cards * c.watts;
    r.joules = r.watts / tokens;
    r.misses = missesOf(c, q, r);
    r.meets = r.misses.length === 0;
    r.distance = sum(r.misses, m => (m.ratio > 1 ? Math.log2(m.ratio) : 1) + (m.target === 'memory' ? unserved : 0));
    return {...r, candidate: c, loss: c.recovery === null ? 1 : 1 - c.recovery};
  }

  // All, best first, as ranking.cc orders them.
  function rank(candidates, q, gpus) {
    const priced = gpus.every(gpu => q.prices[gpu] !== undefined), load = q.rate > 0;
    const rated = candidates.every(c => c.watts > 0), cards = r => r.candidate.count * r.replicas;
    const key = r => r.fit < 1 ? Infinity : priced ? (load ? r.month : r.million)
      : rated ? (load ? r.watts : r.joules) : load ? cards(r) : cards(r) / r.loaded.tokens;
    const level = r => Number.isFinite(r.key) ? Math.floor(Math.log(r.key) / 0.01) : Infinity;
    const all = candidates.map(c => judge(c, q));
    for (const r of all) { r.key = key(r); r.level = level(r); }
    const token = r => r.loaded ? r.loaded.token : 0;
    const compare = (a, b) => a === b ? 0 : a < b ? -1 : 1;
    return all.sort((a, b) => b.meets - a.meets || (a.meets ? 0 : compare(a.distance, b.distance)) ||
      compare(a.level, b.level) || compare(a.loss, b.loss) || compare(token(a), token(b)));
  }

  return {rank, judge, atBatch};
})();
