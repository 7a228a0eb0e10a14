import { Type } from '@sinclair/typebox'

/** Response of the liveness check. */
export const Alive = Type.Object(
  { status: Type.Literal('alive') },
  {
    $id: 'Alive',
    title: 'Alive',
    description: 'The process responds.',
    examples: [{ status: 'alive' }],
  },
)

/** Response of the readiness check. */
export const Ready = Type.Object(
  { status: Type.Literal('ready') },
  {
    $id: 'Ready',
    title: 'Ready',
    description: 'A read and a write of the database have just succeeded, and the secret is set.',
    examples: [{ status: 'ready' }],
  },
)
