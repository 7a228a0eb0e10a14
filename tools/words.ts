import { LongTail, type Random } from './random.ts'

/** A word in about half of the texts. */
export const COMMON_WORD = 'please'
/** A word in about one text of ten thousand; no word of the vocabulary contains it. */
export const RARE_WORD = 'quixotic'

const COMMON_SHARE = 0.5
const RARE_SHARE = 0.0001

/**
 * Vocabulary of a script: every stem with every ending, and the word separator.
 * Shared stems and endings give the words about as many common trigrams as in a natural language.
 */
interface Script {
  stems: string
  endings: string
  separator: string
}

const SCRIPTS: Script[] = [
  {
    stems:
      'order ship deliver confirm message account number question answer custom return refund invoice schedul appoint remind meet call arriv depart ticket seat flight hotel reserv cancel chang updat address street market garden kitchen window table paper letter morn even night week month year summer winter doctor school teach learn travel walk drive garag engine paint colour light sound music dance photo camera phone screen button battery charg repair build bridge river mountain forest farm fruit vegetabl bread butter coffee sugar water bottle basket pocket jacket shoulder finger animal horse chicken rabbit friend family brother sister mother father child office manag report budget project contract partner company trade bank credit insur secur protect respond listen discuss decid promis explain suggest consider remember forget',
    endings: '- s ed ing er ers ion ions ment able ness ly ful less age al ity ive or',
    separator: ' ',
  },
  {
    stems:
      'straße größ lief bestell rechn zahl kund frag antwort termin abhol rückgab überweis gebühr grüß schön möcht könn müss brauch wohn haus wohnung schlüssel tür fenster gärt küch bäck äpfel brötch käs würst frühstück mittag abend wochenend übermorg dank bitt freund verspät verkehr zug flug fähr prüf änder lösch',
    endings: 'e en er es ung ungen bar lich keit ig st te',
    separator: ' ',
  },
  {
    stems:
      'заказ достав оплат возврат сообщ вопрос ответ адрес улиц город встреч напомин билет поезд самолёт завтр сегодн утр вечер недел магазин продукт хлеб молок яблок друг семь брат сестр работ отчёт договор компани банк счёт',
    endings: 'а у ы е ой ам ами ах ный ная ное ить ает',
    separator: ' ',
  },
  {
    stems:
      'παραγγελ αποστολ πληρωμ ερώτησ απάντησ διεύθυνσ δρόμ πόλ συνάντησ εισιτήρι τρέν αεροπλάν αύρι σήμερ πρω βράδ εβδομάδ κατάστημ ψωμ γάλ φίλ οικογένει αδελφ εργασί αναφορ',
    endings: 'α ας η ης ο ος ου ες ων ικός',
    separator: ' ',
  },
  {
    stems:
      'संदेश आदेश भुगतान वापसी प्रश्न उत्तर पता सड़क शहर बैठक याद टिकट रेल विमान कल आज सुबह शाम सप्ताह दुकान रोटी दूध फल मित्र परिवार भाई बहन काम रिपोर्ट बैंक',
    endings: '- ों ें ी ा े का की के में',
    separator: ' ',
  },
  {
    stems:
      '订单 发货 付款 退款 消息 问题 回答 地址 街道 城市 会议 提醒 车票 火车 飞机 明天 今天 早上 晚上 星期 商店 面包 牛奶 水果 朋友 家庭 工作 报告 合同 银行',
    endings: '- 了 的 吗 呢 们 号 单 费 后',
    separator: '',
  },
]

/** Share of texts in each of the scripts, in the same order. */
const SCRIPT_SHARES = [0.62, 0.12, 0.1, 0.04, 0.08, 0.04]

const SENTENCE_ENDS = ['.', '.', '.', '!', '?', '', '', ' 👍', ' 😀', '…']

const vocabularies = SCRIPTS.map(({ stems, endings, separator }, number) => {
  const words = endings
    .split(' ')
    .flatMap((ending) => stems.split(' ').map((stem) => stem + ending.replace('-', '')))
  // A fixed stride, prime to the length of the list, visits every word once and mixes stems and endings.
  const stride = 1009
  const order = words.map((_, index) => words[(index * stride + number) % words.length] ?? '')
  return { words: order, separator, tail: new LongTail(order.length) }
})

function scriptFor(fraction: number): (typeof vocabularies)[number] | undefined {
  let sum = 0
  return vocabularies.find((_, number) => {
    sum += SCRIPT_SHARES[number] ?? 0
    return fraction < sum
  })
}

/** Generates a text of 2 to 24 words of one script, plus the common and the rare word at their shares. */
export function writeText(random: Random): string {
  const { words, separator, tail } = scriptFor(random.fraction()) ?? vocabularies[0] ?? never()
  const length = 2 + Math.floor(random.fraction() ** 2 * 22)
  const text = Array.from({ length }, () => words[tail.draw(random)] ?? '')
  if (random.fraction() < COMMON_SHARE) text.splice(random.below(length + 1), 0, COMMON_WORD)
  if (random.fraction() < RARE_SHARE) text.splice(random.below(length + 1), 0, RARE_WORD)
  const sentence = text.join(separator)
  const end = SENTENCE_ENDS[random.below(SENTENCE_ENDS.length)] ?? ''
  return sentence.slice(0, 1).toUpperCase() + sentence.slice(1) + end
}

function never(): never {
  throw new Error('there is no script')
}
