import { StoredMessage } from '../message/message.ts'
import { Alive, Ready } from './health.ts'
import { MessagesPage } from './messages.ts'
import { InputProblem, InputProblems, Problem } from './problem.ts'
import { SenderCount, Stats } from './stats.ts'
import { Accepted, InboundMessage } from './webhook.ts'

/** Every named schema, registered with the validator and the OpenAPI document for use by `ref`. */
export const components = [
  Accepted,
  Alive,
  InboundMessage,
  InputProblem,
  InputProblems,
  MessagesPage,
  Problem,
  Ready,
  SenderCount,
  Stats,
  StoredMessage,
]
