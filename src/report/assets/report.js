'use strict';
// The two trade-off charts, drawn from the embedded figures. Without this script the tables say the same.
(() => {
  const study = JSON.parse(document.getElementById('study').textContent);
  const rows = study.rows;
  const known = value => typeof value === 'number' && Number.isFinite(value);
  const format = value => {
    if (value === 0) return '0';
    const size = Math.abs(value);
    if (size < 1e-4) return value.toExponential(1).replace('.0e', 'e').replace('e-', 'e−');
    return size >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
  };

  // What can stand on an axis: its value and two standard errors of each row, or null.
  const qualities = [
    {label: 'mean KLD (log scale)', title: 'mean KLD from the reference, nats', log: true,
     of: row => row.kind !== 'reference' && row.mean_kld.value > 0 ? [row.mean_kld.value, 2 * row.mean_kld.stderr] : null},
    {label: 'perplexity increase', title: 'perplexity increase, %', limit: study.facts.max_perplexity_increase * 100,
     of: row => known(row.perplexity_increase.value)
       ? [row.perplexity_increase.value * 100, 2 * row.perplexity_increase.stderr * 100] : null},
  ].filter(axis => rows.some(axis.of));
  const size = {title: 'weights, MB', lowIsGood: true, of: row => {
    const bytes = known(row.file_bytes) ? row.file_bytes : row.weight_bytes;
    return known(bytes) ? [bytes / 1e6, 0] : null;
  }};
  const speeds = [];
  const batches = [...new Set(rows.flatMap(row => row.speed.map(speed => speed.batch)))].sort((a, b) => a - b);
  for (const [phase, word] of [['decode', 'generation'], ['prefill', 'prompt']])
    for (const batch of batches) {
      const of = row => {
        const speed = row.speed.find(each => each.batch === batch);
        const rate = speed && speed[phase + '_tokens_per_second'];
        return rate && known(rate.mean) ? [rate.mean, 2 * (rate.stderr || 0)] : null;
      };
      if (rows.some(of)) speeds.push({label: `${word}, batch ${batch}`, title: `${word} tokens/s, batch ${batch}`, of});
    }

  // Where a counter exists: what a token costs, at the smallest batch.
  for (const [phase, word] of [['decode', 'generated'], ['prefill', 'prompt']]) {
    const of = row => {
      const joules = row.speed.length ? row.speed[0][phase + '_joules_per_token'] : null;
      return known(joules) ? [joules, 0] : null;
    };
    if (rows.some(of)) speeds.push({label: `energy, ${word} token`, title: `joules a ${word} token`, lowIsGood: true, of});
  }

  function points(x, y) {
    const placed = [];
    for (const row of rows) {
      const at = x.of(row), quality = y.of(row);
      if (at && quality) placed.push({row, x: at[0], dx: at[1], y: quality[0], dy: quality[1]});
    }
    const atLeast = (a, b) => a.y <= b.y && (x.lowIsGood ? a.x <= b.x : a.x >= b.x);
    for (const point of placed)
      point.front = !placed.some(other => other !== point && atLeast(other, point) && !atLeast(point, other));
    return placed;
  }

  function theme() {
    const style = getComputedStyle(document.documentElement);
    return name => style.getPropertyValue('--' + name).trim();
  }

  function colour(point, tone) {
    if (point.row.kind === 'baseline') return tone('base');
    return point.front || point.row.chosen ? tone('accent') : tone('gray');
  }

  // Whiskers under the points; names beside them where they hide neither point nor name.
  function annotations(placed, y, tone) {
    return {
      id: 'annotations',
      beforeDatasetsDraw(chart) {
        const {ctx, scales, chartArea: area} = chart;
        ctx.save();
        ctx.lineWidth = 1.5;
        for (const point of placed) {
          ctx.strokeStyle = colour(point, tone);
          ctx.globalAlpha = 0.55;
          const left = scales.x.getPixelForValue(point.x), top = scales.y.getPixelForValue(point.y);
          const lowest = y.log ? Math.max(point.y - point.dy, scales.y.min) : point.y - point.dy;
          ctx.beginPath();
          if (point.dy > 0) {
            ctx.moveTo(left, scales.y.getPixelForValue(lowest));
            ctx.lineTo(left, scales.y.getPixelForValue(point.y + point.dy));
          }
          if (point.dx > 0) {
            ctx.moveTo(scales.x.getPixelForValue(point.x - point.dx), top);
            ctx.lineTo(scales.x.getPixelForValue(point.x + point.dx), top);
          }
          ctx.stroke();
        }
        if (known(y.limit) && y.limit > scales.y.min && y.limit < scales.y.max) {
          const at = scales.y.getPixelForValue(y.limit);
          ctx.globalAlpha = 1;
          ctx.strokeStyle = ctx.fillStyle = tone('warm');
          ctx.setLineDash([2, 4]);
          ctx.beginPath();
          ctx.moveTo(area.left, at);
          ctx.lineTo(area.right, at);
          ctx.stroke();
          ctx.font = '11px ' + Chart.defaults.font.family;
          ctx.textAlign = 'right';
          ctx.fillText(`limit ${format(y.limit)} %`, area.right - 4, at - 5);
        }
        ctx.restore();
      },
      afterDatasetsDraw(chart) {
        const {ctx, scales, chartArea: area} = chart;
        const marks = placed.map(p => ({p, x: scales.x.getPixelForValue(p.x), y: scales.y.getPixelForValue(p.y)}));
        const taken = marks.map(m => ({l: m.x - 8, r: m.x + 8, t: m.y - 8, b: m.y + 8, own: m}));
        const free = (box, own) => box.l >= area.left - 2 && box.r <= area.right + 2 && box.t >= area.top &&
          box.b <= area.bottom && !taken.some(other => other.own !== own && box.l < other.r && box.r > other.l &&
            box.t < other.b && box.b > other.t);
        ctx.save();
        ctx.textBaseline = 'middle';
        const order = [...marks].sort((a, b) => b.p.row.chosen - a.p.row.chosen || b.p.front - a.p.front);
        for (const mark of order) {
          ctx.font = (mark.p.row.chosen ? '600 ' : '') + '12px ' + Chart.defaults.font.family;
          const width = ctx.measureText(mark.p.row.name).width;
          let best = null;
          for (const away of [12, 24, 40, 58]) {
            const spots = [[away, 0], [-away - width, 0], [-width / 2, -away - 3], [-width / 2, away + 3],
              [away * 0.7, -away * 0.8], [away * 0.7, away * 0.8], [-away * 0.7 - width, -away * 0.8],
              [-away * 0.7 - width, away * 0.8]];
            for (const [dx, dy] of spots) {
              const box = {l: mark.x + dx, r: mark.x + dx + width, t: mark.y + dy - 8, b: mark.y + dy + 8, own: mark, away};
              if (free(box, mark)) { best = box; break; }
            }
            if (best) break;
          }
          if (!best) continue;
          // A little more than its own room, so that two names of nearly the same place stay apart.
          taken.push({l: best.l - 6, r: best.r + 6, t: best.t - 2, b: best.b + 2, own: null});
          const middle = (best.t + best.b) / 2;
          if (best.away > 12) {
            ctx.strokeStyle = tone('gray');
            ctx.lineWidth = 1;
            ctx.beginPath();
            ctx.moveTo(mark.x, mark.y);
            ctx.lineTo(Math.min(Math.max(mark.x, best.l), best.r), mark.y < best.t ? best.t + 2 : mark.y > best.b ? best.b - 2 : middle);
            ctx.stroke();
          }
          ctx.strokeStyle = tone('card');
          ctx.lineWidth = 4;
          ctx.lineJoin = 'round';
          ctx.strokeText(mark.p.row.name, best.l, middle);
          ctx.fillStyle = mark.p.front || mark.p.row.chosen ? tone('ink') : tone('soft');
          ctx.fillText(mark.p.row.name, best.l, middle);
        }
        ctx.restore();
      },
    };
  }

  function tooltip(x, y) {
    return {
      displayColors: false,
      callbacks: {
        title: items => items[0].raw.row.name,
        label: item => {
          const p = item.raw;
          return [`${y.title}: ${format(p.y)}` + (p.dy > 0 ? ` ± ${format(p.dy / 2)}` : ''),
            `${x.title}: ${format(p.x)}` + (p.dx > 0 ? ` ± ${format(p.dx / 2)}` : ''),
            p.front ? 'on the front of this chart' : 'dominated in this chart'];
        },
      },
    };
  }

  function axis(title, tone, extra) {
    return {
      title: {display: true, text: title, color: tone('soft'), font: {size: 12}},
      grid: {color: tone('faint'), borderColor: tone('line'), tickColor: tone('line')},
      ticks: {color: tone('soft'), callback: format, maxTicksLimit: 7},
      ...extra,
    };
  }

  function draw(canvas, x, y) {
    const tone = theme();
    const placed = points(x, y);
    const front = placed.filter(p => p.front).sort((a, b) => a.x - b.x);
    const values = placed.map(p => p.y);
    // Room for names above and below; decades on a logarithmic axis.
    const range = y.log ? {type: 'logarithmic', min: Math.min(...values) / 2.5, max: Math.max(...values) * 2.5}
                        : {grace: '12%'};
    const logTicks = y.log ? {afterBuildTicks: scale => {
      scale.ticks = scale.ticks.filter(t => Math.abs(Math.log10(t.value) - Math.round(Math.log10(t.value))) < 1e-9);
    }} : {};
    return new Chart(canvas, {
      data: {datasets: [
        {type: 'scatter', data: placed, clip: false,
         pointStyle: placed.map(p => p.row.kind === 'baseline' ? 'rect' : 'circle'),
         pointRadius: placed.map(p => p.row.chosen ? 7 : p.row.kind === 'baseline' ? 6.5 : 5.5),
         pointHoverRadius: 8,
         pointBackgroundColor: placed.map(p => colour(p, tone)),
         pointBorderColor: placed.map(p => p.row.chosen ? tone('ink') : tone('card')),
         pointBorderWidth: placed.map(p => p.row.chosen ? 2.5 : 1)},
        {type: 'line', data: front, stepped: x.lowIsGood ? 'before' : 'after', pointRadius: 0, pointHitRadius: 0, borderWidth: 1.5,
         borderColor: tone('accent') + '80', borderDash: [5, 4], fill: false, order: 5},
      ]},
      options: {
        animation: false, responsive: true, maintainAspectRatio: false,
        interaction: {mode: 'nearest', intersect: true},
        layout: {padding: {right: 12, top: 6}},
        plugins: {legend: {display: false}, tooltip: {...tooltip(x, y), filter: item => item.datasetIndex === 0}},
        scales: {
          x: axis(x.title + (x.lowIsGood ? '  (← smaller)' : '  (faster →)'), tone, {grace: '8%', type: 'linear'}),
          y: axis(y.title + '  (↓ better)', tone, {...range, ...logTicks}),
        },
      },
      plugins: [annotations(placed, y, tone)],
    });
  }

  function fill(select, choices) {
    choices.forEach((choice, index) => select.add(new Option(choice.label, index)));
    select.parentElement.hidden = choices.length < 2;
  }

  if (!qualities.length) return;
  document.getElementById('charts').hidden = false;
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  const quality = document.getElementById('quality'), speed = document.getElementById('speed');
  fill(quality, qualities);
  fill(speed, speeds);
  let charts = [];
  function redraw() {
    charts.forEach(chart => chart.destroy());
    const y = qualities[quality.value], fast = speeds[speed.value];
    charts = [draw(document.getElementById('by-size'), size, y)];
    if (fast) charts.push(draw(document.getElementById('by-speed'), fast, y));
    else document.getElementById('by-speed').closest('figure').hidden = true;
  }
  quality.onchange = speed.onchange = redraw;
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  // Paper is white: print with the light colours.
  addEventListener('beforeprint', () => { document.documentElement.dataset.theme = 'light'; redraw(); });
  addEventListener('afterprint', () => { delete document.documentElement.dataset.theme; redraw(); });
  redraw();
})();
