import { Type } from '@sinclair/typebox'

/** The process runs and its event loop turns. */
export const Alive = Type.Object(
  { status: Type.Literal('alive') },
  {
    $id: 'Alive',
    title: 'Alive',
    description: 'The process answers.',
    examples: [{ status: 'alive' }],
  },
)

/** The service can take messages. */
export const Ready = Type.Object(
  { status: Type.Literal('ready') },
  {
    $id: 'Ready',
    title: 'Ready',
    description: 'The database was just read and written, and the secret is set.',
    examples: [{ status: 'ready' }],
  },
)
