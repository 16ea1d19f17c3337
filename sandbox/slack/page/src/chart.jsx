// Slack's data visualization block: lines, areas and bars are all drawn as lines here.
const WIDTH = 480;
const HEIGHT = 180;
const LEFT = 40;
const BOTTOM = 30;
const TOP = 10;

export function Chart({ block }) {
  const { series, axis_config: axis } = block.chart;
  const most = Math.max(1, ...series.flatMap((one) => one.data.map((point) => point.value)));
  const x = (index) => LEFT + (index * (WIDTH - LEFT - 24)) / Math.max(1, axis.categories.length - 1);
  const y = (value) => TOP + (1 - value / most) * (HEIGHT - TOP - BOTTOM);
  const words = series.map((one) => `${one.name}: ${one.data.map((point) => `${point.label} ${point.value}`).join(", ")}`).join("; ");
  return (
    <figure className="chart">
      <figcaption>{block.title}</figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${block.title}. ${words}`}>
        {[0, most / 2, most].map((value) => (
          <g key={value}>
            <line x1={LEFT} x2={WIDTH - 24} y1={y(value)} y2={y(value)} className="chart-grid" />
            <text x={LEFT - 6} y={y(value) + 4} textAnchor="end">{Math.round(value)}</text>
          </g>
        ))}
        {axis.categories.map((label, index) => <text key={label} x={x(index)} y={HEIGHT - 10} textAnchor="middle">{label}</text>)}
        {series.map((one) => (
          <g key={one.name}>
            <polyline points={one.data.map((point, index) => `${x(index)},${y(point.value)}`).join(" ")} className="chart-line" />
            {one.data.map((point, index) => <circle key={point.label} cx={x(index)} cy={y(point.value)} r="3.5" className="chart-point" />)}
          </g>
        ))}
      </svg>
      <small>{axis.y_label}</small>
    </figure>
  );
}
