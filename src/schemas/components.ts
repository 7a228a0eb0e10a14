import { DetailedMessage, StoredMessage } from '../message/message.ts'
import { FeedPage, StaleCursor } from './feed.ts'
import { Alive, Ready } from './health.ts'
import { MessagesPage } from './messages.ts'
import { InputProblem, InputProblems, Problem } from './problem.ts'
import { DetailedRejectedBody, RejectedBodiesPage, RejectedBody } from './rejected.ts'
import { Sender, SendersPage } from './senders.ts'
import { SenderCount, Stats } from './stats.ts'
import { Status } from './status.ts'
import { Timeline, TimelineBucket } from './timeline.ts'
import { ajv } from './validator.ts'
import { Accepted, InboundMessage } from './webhook.ts'

/**
 * All named schemas, which `ref` refers to.
 * They are registered with the validator here, and with the OpenAPI document by the plugin `validation`.
 */
export const components = [
  Accepted,
  Alive,
  DetailedMessage,
  DetailedRejectedBody,
  FeedPage,
  InboundMessage,
  InputProblem,
  InputProblems,
  MessagesPage,
  Problem,
  Ready,
  RejectedBodiesPage,
  RejectedBody,
  Sender,
  SenderCount,
  SendersPage,
  StaleCursor,
  Stats,
  Status,
  StoredMessage,
  Timeline,
  TimelineBucket,
]

ajv.addSchema(components)
