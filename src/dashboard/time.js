import { signal } from '@preact/signals'
import { html } from 'htm/preact'

/** Key of the choice of UTC in the storage of the browser. */
const STORAGE_KEY = 'utc'

/** Name of the reader's time zone, such as `Europe/Berlin`. */
export const LOCAL_ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone

/** Whether times are in UTC instead of the reader's zone. */
export const utc = signal(window.localStorage.getItem(STORAGE_KEY) === 'true')

/** Switches between UTC and the reader's zone, and keeps the choice. */
export function toggleUtc() {
  utc.value = !utc.value
  window.localStorage.setItem(STORAGE_KEY, String(utc.value))
}

/** The name of the zone of all times. */
export const zone = () => (utc.value ? 'UTC' : LOCAL_ZONE)

/**
 * Returns a date whose UTC fields are the fields of the instant in the zone of all times.
 * @param {Date} date
 */
function shifted(date) {
  return utc.value ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000)
}

/**
 * Returns `YYYY-MM-DD HH:MM:SS` in the zone of all times.
 * @param {Date} date
 */
export const formatTime = (date) => shifted(date).toISOString().slice(0, 19).replace('T', ' ')

/**
 * Returns the instant of the start of a day in the zone of all times.
 * @param {Date} date
 * @param {number} days added to the day
 */
export function startOfDay(date, days = 0) {
  const day = new Date(date)
  if (utc.value) {
    day.setUTCHours(0, 0, 0, 0)
    day.setUTCDate(day.getUTCDate() + days)
  } else {
    day.setHours(0, 0, 0, 0)
    day.setDate(day.getDate() + days)
  }
  return day
}

/**
 * Returns the value of an input of type `datetime-local` for an instant; empty for none.
 * @param {string | null | undefined} instant
 */
export function toInput(instant) {
  const date = new Date(instant ?? '')
  return Number.isNaN(date.getTime()) ? '' : shifted(date).toISOString().slice(0, 19)
}

/**
 * Returns the instant of the value of an input of type `datetime-local`; empty for none.
 * @param {string} value
 */
export function fromInput(value) {
  if (!value) return ''
  const date = new Date(utc.value ? `${value}Z` : value)
  return Number.isNaN(date.getTime()) ? '' : date.toISOString().replace('.000Z', 'Z')
}

/**
 * A time in the zone of all times, with UTC as its title; text that is not a time as it is.
 * @param {{ at: string }} props
 */
export function Time({ at }) {
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return html`<bdi>${at}</bdi>`
  const iso = date.toISOString()
  return html`<time datetime=${iso} title="${iso.slice(0, 19).replace('T', ' ')} UTC">${formatTime(date)}</time>`
}
