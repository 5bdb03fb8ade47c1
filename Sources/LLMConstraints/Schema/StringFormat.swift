// The formats of JSON Schema as patterns over characters.

enum StringFormat {
    private static let year = "(\\d{3}[1-9]|\\d{2}[1-9]\\d|\\d[1-9]\\d{2}|[1-9]\\d{3})"
    private static let leapYear =
        "(\\d{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
    private static let date =
        "(\(year)-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))"
        + "|\(leapYear)-02-29)"
    private static let time = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
    private static let octet = "(25[0-5]|2[0-4]\\d|1\\d{2}|[1-9]?\\d)"
    private static let group = "[0-9a-fA-F]{1,4}"

    static let patterns: [String: String] = [
        "date": "^\(date)$",
        "time": "^\(time)$",
        "date-time": "^\(date)T\(time)$",
        "duration":
            "^P(\\d{1,9}W|(\\d{1,9}D|\\d{1,9}M(\\d{1,9}D)?|\\d{1,9}Y(\\d{1,9}M(\\d{1,9}D)?)?)(T\(clock))?|T\(clock))$",
        "uuid": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        "email":
            "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,40}(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20})?@(\(shortLabel)\\.){1,3}[A-Za-z]{2,24}$",
        "hostname": "^(\(shortLabel)\\.){0,3}\(shortLabel)$",
        "ipv4": "^(\(octet)\\.){3}\(octet)$",
        "ipv6": "^((\(group):){7}\(group)|(\(group):){1,6}(:\(group))|(\(group):){1,5}(:\(group)){2}|::(\(group))?)$",
        "uri": "^[A-Za-z][A-Za-z0-9+.-]{0,15}://[A-Za-z0-9._~:/?#@!$&'()*+,;=-]{1,200}$",
    ]

    private static let clock = "(\\d{1,9}S|\\d{1,9}M(\\d{1,9}S)?|\\d{1,9}H(\\d{1,9}M(\\d{1,9}S)?)?)"
    private static let shortLabel = "[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?"
}
