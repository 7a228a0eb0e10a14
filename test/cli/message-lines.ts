/** Returns lines for an import: distinct messages, some without text. */
export const messageLines = (count: number): string[] =>
  Array.from({ length: count }, (_, n) =>
    JSON.stringify({
      message_id: `m${n}`,
      from: `+${n % 7}`,
      to: '+1',
      ts: `2025-01-${String(1 + (n % 28)).padStart(2, '0')}T10:00:00.${n}Z`,
      text: n % 5 === 0 ? null : `Wort ${n} 😀 ÄRGER\n"`,
      created_at: `2025-02-01T00:00:${String(n % 60).padStart(2, '0')}Z`,
    }),
  )
