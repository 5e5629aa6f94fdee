// One message: the person's in a bubble, the model's as a page of text, with what can be done with it.
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import Olivine

Item {
    id: message
    objectName: "message"
    required property int index
    required property var messageId
    required property bool fromUser
    required property string body
    required property string progress  // "done", "unfinished", "stopped", "failed", "cut"
    required property string error
    required property string details
    required property var pictures
    required property int sibling
    required property int siblings
    required property string modelName
    required property string speed
    required property real encoding
    required property bool running
    required property bool last
    required property ListView list
    readonly property bool editing: list.edit_id === messageId
    property bool reached: false  // with the keyboard
    readonly property bool busy: App.conversation.answering || App.conversation.sending
    // While it is not laid out: letters are about half as wide as high.
    readonly property real guessed_height: Theme.fontSize * 1.5
        * Math.ceil(Math.min(body.length, lengthy ? 1500 : 20000) / Math.max(20, column.width / (0.5 * Theme.fontSize)))
    readonly property bool lengthy: fromUser && body.length > 3000
    property bool whole: false
    // Longer ones are only copied: nobody reads them, and laying them out takes seconds.
    readonly property bool huge: body.length > 100000
    signal picture_opened(url picture)
    signal removal_wanted()

    implicitHeight: column.height + Theme.spacing * 1.5
    activeFocusOnTab: true
    onActiveFocusChanged: if (activeFocus) reached = true
    Accessible.role: Accessible.ListItem
    Accessible.name: (fromUser ? qsTr("You said: ") : qsTr("%1 said: ").arg(modelName || qsTr("The model"))) + body.slice(0, 1000)

    function edit() {
        if (busy || huge)
            return
        list.edit_text = body
        list.edit_id = messageId
    }

    HoverHandler { id: hover }

    Column {
        id: column
        width: Math.min(parent.width - 4 * Theme.spacing, Theme.column)
        x: Math.round((parent.width - width) / 2)
        spacing: Theme.spacing * 0.75

        Loader {
            active: message.pictures.length > 0
            visible: active
            width: parent.width
            sourceComponent: Flow {
                spacing: Theme.spacing
                layoutDirection: message.fromUser ? Qt.RightToLeft : Qt.LeftToRight
                Repeater {
                    model: message.pictures
                    Thumbnail {
                        required property var modelData
                        source: modelData.url
                        name: modelData.name
                        size: 132 * Theme.zoom
                        onClicked: message.picture_opened(modelData.url)
                    }
                }
            }
        }

        Item {  // the text, made over some frames, so that a leap through a long conversation is none
            visible: text.active
            width: parent.width
            height: text.item ? text.item.implicitHeight : message.guessed_height
            Loader {
                id: text
                active: !message.editing && (message.body !== "" || !message.fromUser)
                asynchronous: !message.last
                width: parent.width
                sourceComponent: message.fromUser ? bubble : answer
            }
        }

        Loader {
            active: message.editing
            visible: active
            width: parent.width
            sourceComponent: editor
        }

        Loader {
            active: message.error !== ""
            visible: active
            width: parent.width
            sourceComponent: problem
        }

        Item {  // what can be done, made when somebody may want it: most messages only pass by
            width: parent.width
            height: Theme.control * 0.85
            Loader {
                anchors.left: message.fromUser ? undefined : parent.left
                anchors.right: message.fromUser ? parent.right : undefined
                height: parent.height
                active: !message.running && !message.editing && (hover.hovered || message.last || message.reached)
                sourceComponent: actions
            }
            Loader {
                active: message.running
                height: parent.height
                sourceComponent: Item {
                    Waiting {
                        anchors.verticalCenter: parent.verticalCenter
                        text: message.encoding >= 0 ? qsTr("Looking at the picture… %1 %").arg(Math.round(100 * message.encoding))
                            : message.body !== "" ? message.speed
                            : App.modelState === "loading" ? qsTr("Loading the model…") : qsTr("Reading…")
                    }
                }
            }
        }
    }
    Rectangle {  // where the keyboard is
        visible: message.activeFocus
        x: column.x - Theme.spacing
        width: 3 * Theme.zoom
        height: column.height
        radius: width / 2
        color: Theme.accent
    }

    Component {
        id: actions
        MessageActions { subject: message }
    }

    Component {
        id: problem
        Rectangle {  // why it failed
            implicitHeight: why.height + 2 * Theme.spacing
            radius: Theme.radius
            color: "transparent"
            border.color: Theme.danger
            RowLayout {
                id: why
                x: Theme.spacing
                y: Theme.spacing
                width: parent.width - 2 * Theme.spacing
                spacing: Theme.spacing
                IconGlyph { symbol: "alert"; color: Theme.danger; size: Theme.fontSize * 1.3 }
                TextEdit {
                    text: message.error
                    readOnly: true
                    selectByMouse: true
                    color: Theme.text
                    selectionColor: Theme.selection
                    selectedTextColor: Theme.text
                    wrapMode: Text.Wrap
                    font.pixelSize: Theme.small * 1.08
                    Layout.fillWidth: true
                    Accessible.role: Accessible.AlertMessage
                    Accessible.name: text
                }
                TextButton {
                    objectName: "copyDetails"
                    text: qsTr("Copy details")
                    onClicked: App.conversation.copy(message.details)
                }
                TextButton {
                    text: qsTr("Try again")
                    visible: message.last
                    enabled: !message.busy
                    onClicked: App.conversation.regenerate(message.index)
                }
            }
        }
    }

    Component {
        id: bubble
        Item {
            implicitHeight: box.height
            Rectangle {
                id: box
                readonly property real most: parent.width * 0.88
                anchors.right: parent.right
                width: Math.min(most, shown.implicitWidth + 2 * shown.x)
                height: shown.height + more.height + 2 * shown.y
                radius: Theme.radius * 1.4
                color: Theme.raised
                TextEdit {
                    id: shown
                    x: Theme.spacing * 1.75
                    y: Theme.spacing * 1.25
                    width: Math.min(implicitWidth, box.most - 2 * x)
                    text: message.lengthy && !(message.whole && !message.huge) ? message.body.slice(0, 1500) + "…" : message.body
                    textFormat: TextEdit.PlainText
                    readOnly: true
                    selectByMouse: true
                    persistentSelection: true
                    wrapMode: TextEdit.Wrap
                    color: Theme.text
                    selectionColor: Theme.selection
                    selectedTextColor: Theme.text
                    font.pixelSize: Theme.fontSize
                    Accessible.name: text
                    EditMenu { edit: shown }
                }
                Row {
                    id: more
                    visible: message.lengthy
                    height: visible ? Theme.control : 0
                    x: shown.x
                    anchors.top: shown.bottom
                    spacing: Theme.spacing
                    TextButton {
                        visible: !message.huge
                        text: message.whole ? qsTr("Show less") : qsTr("Show all")
                        onClicked: message.whole = !message.whole
                    }
                    Text {
                        height: parent.height
                        verticalAlignment: Text.AlignVCenter
                        text: qsTr("%L1 characters").arg(message.body.length)
                        color: Theme.muted
                        font.pixelSize: Theme.small
                    }
                }
            }
        }
    }

    Component {
        id: answer
        MessageBody {
            text: message.body
            find: App.conversations.search
        }
    }

    Component {
        id: editor
        Rectangle {
            implicitHeight: edited.height + buttons.height + 3 * Theme.spacing
            radius: Theme.radius
            color: Theme.field
            border.color: Theme.accent
            TextArea {
                id: edited
                objectName: "editField"
                x: Theme.spacing
                y: Theme.spacing
                width: parent.width - 2 * Theme.spacing
                text: message.list.edit_text
                onTextChanged: message.list.edit_text = text
                wrapMode: TextEdit.Wrap
                textFormat: TextEdit.PlainText
                color: Theme.text
                selectionColor: Theme.selection
                selectedTextColor: Theme.text
                font.pixelSize: Theme.fontSize
                background: null
                Accessible.name: qsTr("The message")
                Component.onCompleted: {
                    forceActiveFocus()
                    cursorPosition = length
                }
                Keys.onShortcutOverride: event => event.accepted = event.key === Qt.Key_Escape
                Keys.onEscapePressed: message.list.edit_id = 0
                Keys.onTabPressed: cancel.forceActiveFocus(Qt.TabFocusReason)
                Keys.onPressed: event => {
                    if ((event.key === Qt.Key_Return || event.key === Qt.Key_Enter) && (event.modifiers & Qt.ControlModifier)) {
                        save.clicked()
                        event.accepted = true
                    }
                }
            }
            Row {
                id: buttons
                anchors { right: parent.right; bottom: parent.bottom; margins: Theme.spacing }
                spacing: Theme.spacing
                TextButton {
                    id: cancel
                    text: qsTr("Cancel")
                    hint: "Esc"
                    onClicked: message.list.edit_id = 0
                }
                TextButton {
                    id: save
                    objectName: "saveEdit"
                    text: message.fromUser ? qsTr("Send") : qsTr("Keep")
                    hint: "Ctrl+Enter"
                    prominent: true
                    enabled: edited.text.trim() !== ""
                    onClicked: {
                        // It ends when the text is stored (onAsked), and not where that fails.
                        if (edited.text === message.body)
                            message.list.edit_id = 0
                        else
                            App.conversation.edit(message.index, edited.text)
                    }
                }
            }
        }
    }
}
