'use strict';
// The sliders: each movement ranks all candidates again with the model above. Without scripts the tables say what
// was planned.
(() => {
  const {candidates, gpus, many_models: manyModels, question: planned} =
    JSON.parse(document.getElementById('plan').textContent);
  const load = planned.rate > 0;
  let question = {...planned, prices: {...planned.prices}}, chart = null;
  const show = value => !Number.isFinite(value) ? '–' : value >= 1000 ? Math.round(value).toLocaleString('en')
    : String(Number(value.toPrecision(3)));
  const cards = r => (r.replicas > 1 ? `${r.replicas} · (` : '') + `${r.candidate.count} x ${r.candidate.gpu}` +
    (r.replicas > 1 ? ')' : '');

  // Every slider is logarithmic; its leftmost step is `none` where that has a meaning.
  const sliders = [
    {label: 'requests a second', get: q => q.rate, set: (q, v) => { q.rate = v; }, from: 0.01, to: 1000, none: 'as many as can be',
     only: load},
    {label: 'tokens in', get: q => q.prompt_tokens, set: (q, v) => { q.prompt_tokens = Math.round(v); }, from: 16, to: 32768},
    {label: 'tokens out', get: q => q.generate_tokens, set: (q, v) => { q.generate_tokens = Math.round(v); }, from: 16, to: 8192},
    {label: 'TTFT limit, s', get: q => q.ttft, set: (q, v) => { q.ttft = v; }, from: 0.02, to: 30, none: 'none'},
    {label: 'TPOT limit, ms', get: q => q.tpot * 1e3, set: (q, v) => { q.tpot = v / 1e3; }, from: 2, to: 500, none: 'none'},
    {label: 'quality loss allowed, %', get: q => q.max_loss * 100, set: (q, v) => { q.max_loss = v / 100; }, from: 0.05, to: 20,
     none: '0'},
    ...gpus.filter(gpu => planned.prices[gpu] !== undefined).map(gpu => ({
      label: `price of ${gpu} an hour`, get: q => q.prices[gpu], set: (q, v) => { q.prices[gpu] = v; }, from: 0.1, to: 20})),
  ].filter(slider => slider.only !== false);
  const steps = 300;

  const axes = [
    {label: load ? 'cost a month' : 'cost per million tokens', of: r => load ? r.month : r.million},
    {label: load ? 'watts' : 'joules a token', of: r => load ? r.watts : r.joules},
    {label: 'TPOT, ms', of: r => r.loaded ? r.loaded.token * 1e3 : NaN},
    {label: 'TTFT, ms', of: r => r.loaded ? r.loaded.first * 1e3 : NaN},
  ].filter(axis => planModel.rank(candidates, planned, gpus).some(r => r.fit >= 1 && Number.isFinite(axis.of(r))));

  function build(slider) {
    const label = document.createElement('label'), output = document.createElement('output');
    const input = Object.assign(document.createElement('input'), {type: 'range', min: slider.none === undefined ? 1 : 0, max: steps});
    label.append(slider.label + ' ', output, input);
    document.getElementById('sliders').append(label);
    const scale = Math.log(slider.to / slider.from) / (steps - 1);
    slider.refresh = () => {
      const value = slider.get(question);
      input.value = value > 0 ? Math.round(1 + Math.log(value / slider.from) / scale) : 0;
      output.textContent = value > 0 ? show(value) : slider.none;
    };
    input.oninput = () => {
      const value = Number(input.value) === 0 ? 0 : slider.from * Math.exp((input.value - 1) * scale);
      slider.set(question, Number(value.toPrecision(3)));
      output.textContent = value > 0 ? show(slider.get(question)) : slider.none;
      update();
    };
    slider.refresh();
  }

  const cell = (text, kind = 'num') => Object.assign(document.createElement('td'), {className: kind, textContent: text});

  function rowOf(r, best) {
    const row = document.createElement('tr'), head = document.createElement('th');
    row.className = r === best ? 'pick' : r.meets ? '' : 'lost';
    head.scope = 'row';
    head.append(Object.assign(document.createElement('b'), {textContent: r.candidate.scheme}),
      Object.assign(document.createElement('small'), {textContent: (manyModels ? r.candidate.model + ', ' : '') + cards(r)}));
    if (r === best) head.append(Object.assign(document.createElement('span'), {className: 'badge pick', textContent: 'best'}));
    const why = r.misses.map(m => m.target).join(', ');
    row.append(head, cell(show(r.candidate.weight_bytes / 1e9) + ' GB'), cell(r.fit >= 1 ? String(r.fit) : 'none'),
      cell(show(r.loaded ? r.loaded.first * 1e3 : NaN)), cell(show(r.loaded ? r.loaded.token * 1e3 : NaN)),
      cell(r.most ? show(r.most.tokens * r.replicas) : '–'),
      cell(r.candidate.recovery === null ? 'unknown' : (r.candidate.recovery * 100).toFixed(1)),
      cell(show(load ? r.month : r.million)), cell(show(r.joules)), cell(why ? 'misses: ' + why : 'meets everything', 'why'));
    return row;
  }

  function sayNow(best) {
    const now = document.getElementById('now');
    now.textContent = '';
    const name = Object.assign(document.createElement('b'), {textContent: `${best.candidate.scheme} on ${cards(best)}`});
    const cost = load ? best.month : best.million;
    const paid = Number.isFinite(cost) ? `, ${show(cost)} ${load ? 'a month' : 'per million tokens'}` : '';
    if (best.meets) now.append('Best now: ', name,
      `: TPOT ${show(best.loaded.token * 1e3)} ms, TTFT ${show(best.loaded.first * 1e3)} ms${paid}`);
    else now.append('Nothing meets every target; closest is ', name, ': misses ' + best.misses.map(m => m.target).join(', '));
  }

  const tone = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();

  function points(ranked, axis) {
    const placed = ranked.filter(r => r.fit >= 1 && r.candidate.recovery !== null && Number.isFinite(axis.of(r)))
      .map(r => ({r, x: axis.of(r), y: r.loss * 100}));
    for (const p of placed)
      p.front = p.r.meets && !placed.some(o => o.r.meets && o.x <= p.x && o.y <= p.y && (o.x < p.x || o.y < p.y));
    return placed;
  }

  function draw(ranked) {
    const axis = axes[document.getElementById('across').value];
    const best = ranked[0], placed = points(ranked, axis);
    const colour = p => p.r === best && best.meets || p.front ? tone('accent') : p.r.meets ? tone('base') : tone('gray');
    const scale = (title, extra) => ({
      title: {display: true, text: title, color: tone('soft')}, grid: {color: tone('faint'), borderColor: tone('line')},
      ticks: {color: tone('soft'), callback: show, maxTicksLimit: 7}, ...extra});
    const dataset = {
      data: placed, clip: false,
      pointRadius: placed.map(p => p.r === best ? 8 : 5), pointHoverRadius: 8,
      pointBackgroundColor: placed.map(colour),
      pointBorderColor: placed.map(p => p.r === best ? tone('ink') : tone('card')),
      pointBorderWidth: placed.map(p => p.r === best ? 2.5 : 1),
    };
    const tooltip = {displayColors: false, callbacks: {
      title: items => `${items[0].raw.r.candidate.scheme} on ${cards(items[0].raw.r)}`,
      label: item => [`quality loss: ${show(item.raw.y)} %`, `${axis.label}: ${show(item.raw.x)}`,
        item.raw.r.meets ? 'meets everything' : 'misses ' + item.raw.r.misses.map(m => m.target).join(', ')]}};
    if (chart) chart.destroy();
    chart = new Chart(document.getElementById('chart'), {
      type: 'scatter', data: {datasets: [dataset]},
      options: {animation: false, responsive: true, maintainAspectRatio: false, layout: {padding: {right: 12, top: 10}},
        interaction: {mode: 'nearest', intersect: true}, plugins: {legend: {display: false}, tooltip},
        scales: {x: scale(axis.label + '  (← better)', {type: 'logarithmic'}), y: scale('quality loss, %  (↓ better)', {min: placed.every(p => p.y >= 0) ? 0 : undefined, grace: '8%'})}},
    });
  }

  function update() {
    const ranked = planModel.rank(candidates, question, gpus);
    const rows = document.getElementById('rows');
    rows.replaceChildren(...ranked.slice(0, 24).map(r => rowOf(r, ranked[0].meets ? ranked[0] : null)));
    sayNow(ranked[0]);
    draw(ranked);
  }

  const redraw = () => draw(planModel.rank(candidates, question, gpus));
  const across = document.getElementById('across');
  axes.forEach((axis, index) => across.add(new Option(axis.label, index)));
  sliders.forEach(build);
  document.getElementById('live').hidden = false;
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  document.getElementById('reset').onclick = () => {
    question = {...planned, prices: {...planned.prices}};
    sliders.forEach(slider => slider.refresh());
    update();
  };
  across.onchange = redraw;
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  // Paper is white: print with the light colours.
  addEventListener('beforeprint', () => { document.documentElement.dataset.theme = 'light'; redraw(); });
  addEventListener('afterprint', () => { delete document.documentElement.dataset.theme; redraw(); });
  if (axes.length) { sayNow(planModel.rank(candidates, question, gpus)[0]); redraw(); }
})();
