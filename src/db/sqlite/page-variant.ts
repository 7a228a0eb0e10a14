import type { Order } from '../../message/filter.ts'

/** Properties that distinguish the page statements of one access path. */
export interface PageVariant {
  order: Order
  /** Whether the page starts after a position. */
  after: boolean
  /** Whether the page is filtered by a column without an index; see `isUnindexed`. */
  unindexed: boolean
}

/** The name of a variant. */
export type PageVariantName = `${Order}${'' | '-after'}${'' | '-unindexed'}`

/** Returns the name of a variant. */
export function variantName({ order, after, unindexed }: PageVariant): PageVariantName {
  return `${order}${after ? '-after' : ''}${unindexed ? '-unindexed' : ''}`
}

/** Returns a record of what `make` returns for each variant. */
export function mapVariants<Value>(
  make: (variant: PageVariant) => Value,
): Record<PageVariantName, Value> {
  const variants = (['asc', 'desc'] as const).flatMap((order) =>
    [false, true].flatMap((after) =>
      [false, true].map((unindexed) => ({ order, after, unindexed })),
    ),
  )
  return Object.fromEntries(
    variants.map((variant) => [variantName(variant), make(variant)]),
  ) as Record<PageVariantName, Value>
}
