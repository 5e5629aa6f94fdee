// One message: the person's in a bubble, the model's as a page of text, with what can be done with it.
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import Olivine

Item {
    id: message
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
    property bool editing: false
    readonly property bool busy: App.conversation.answering || App.conversation.sending
    readonly property bool lengthy: fromUser && body.length > 3000
    property bool whole: false
    // Longer ones are only copied: nobody reads them, and laying them out takes seconds.
    readonly property bool huge: body.length > 100000
    signal picture_opened(url picture)

    implicitHeight: column.height + Theme.spacing * 1.5
    Accessible.role: Accessible.ListItem
    Accessible.name: (fromUser ? qsTr("You said: ") : qsTr("%1 said: ").arg(modelName || qsTr("The model"))) + body.slice(0, 1000)

    function edit() {
        editing = true
    }

    HoverHandler { id: hover }

    Column {
        id: column
        width: Math.min(parent.width - 4 * Theme.spacing, Theme.column)
        x: Math.round((parent.width - width) / 2)
        spacing: Theme.spacing * 0.75

        Flow {  // pictures
            visible: message.pictures.length > 0
            spacing: Theme.spacing
            width: parent.width
            layoutDirection: message.fromUser ? Qt.RightToLeft : Qt.LeftToRight
            Repeater {
                model: message.pictures
                Thumbnail {
                    required property var modelData
                    source: modelData.url
                    name: modelData.name
                    size: 132 * Theme.zoom
                    progress: message.encoding
                    onClicked: message.picture_opened(modelData.url)
                }
            }
        }

        Loader {  // the text
            active: !message.editing && (message.body !== "" || !message.fromUser)
            visible: active
            width: parent.width
            sourceComponent: message.fromUser ? bubble : answer
        }

        Loader {
            active: message.editing
            visible: active
            width: parent.width
            sourceComponent: editor
        }

        Rectangle {  // why it failed
            visible: message.error !== ""
            width: parent.width
            height: problem.height + 2 * Theme.spacing
            radius: Theme.radius
            color: "transparent"
            border.color: Theme.danger
            RowLayout {
                id: problem
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

        Item {  // what can be done
            width: parent.width
            height: Theme.control * 0.85
            RowLayout {
                id: actions
                anchors.left: message.fromUser ? undefined : parent.left
                anchors.right: message.fromUser ? parent.right : undefined
                height: parent.height
                spacing: 0
                visible: !message.running && !message.editing
                opacity: hover.hovered || message.last || focused ? 1 : 0
                readonly property bool focused: {
                    for (let i = 0; i < children.length; ++i)
                        if (children[i].activeFocus)
                            return true
                    return false
                }
                readonly property real size: Theme.control * 0.85
                IconButton {
                    objectName: "previousSibling"
                    visible: message.siblings > 1
                    name: qsTr("Previous version")
                    symbol: "left"
                    size: actions.size
                    enabled: message.sibling > 1 && !message.busy
                    onClicked: App.conversation.show_sibling(message.index, -1)
                }
                Text {
                    objectName: "siblings"
                    visible: message.siblings > 1
                    text: message.sibling + "/" + message.siblings
                    color: Theme.muted
                    font.pixelSize: Theme.small
                    Accessible.name: qsTr("Version %1 of %2").arg(message.sibling).arg(message.siblings)
                }
                IconButton {
                    objectName: "nextSibling"
                    visible: message.siblings > 1
                    name: qsTr("Next version")
                    symbol: "right"
                    size: actions.size
                    enabled: message.sibling < message.siblings && !message.busy
                    onClicked: App.conversation.show_sibling(message.index, 1)
                }
                IconButton {
                    objectName: "copyMessage"
                    name: copied.running ? qsTr("Copied") : qsTr("Copy")
                    symbol: copied.running ? "check" : "copy"
                    size: actions.size
                    onClicked: {
                        App.conversation.copy(message.body)
                        copied.restart()
                    }
                    Timer { id: copied; interval: 2000 }
                }
                IconButton {
                    objectName: "editMessage"
                    name: qsTr("Edit")
                    symbol: "edit"
                    size: actions.size
                    enabled: !message.busy && !message.huge
                    onClicked: message.edit()
                }
                IconButton {
                    objectName: "regenerate"
                    visible: !message.fromUser
                    name: qsTr("Another answer")
                    hint: message.last ? "Ctrl+R" : ""
                    symbol: "again"
                    size: actions.size
                    enabled: !message.busy
                    onClicked: App.conversation.regenerate(message.index)
                }
                IconButton {
                    objectName: "goOn"
                    visible: message.last && message.progress !== "failed"
                    name: message.fromUser ? qsTr("Answer this") : qsTr("Go on")
                    symbol: "play"
                    size: actions.size
                    enabled: !message.busy
                    onClicked: App.conversation.go_on()
                }
                IconButton {
                    objectName: "removeTurn"
                    name: qsTr("Remove this and what follows")
                    symbol: "trash"
                    size: actions.size
                    enabled: !message.busy
                    onClicked: App.conversation.remove_turn(message.index)
                }
                Text {
                    visible: text !== ""
                    text: message.fromUser ? "" : message.progress === "stopped" ? qsTr("stopped · ") + message.speed
                        : message.progress === "cut" ? qsTr("cut by a limit · ") + message.speed
                        : message.progress === "unfinished" ? qsTr("not finished") : message.speed
                    color: Theme.muted
                    font.pixelSize: Theme.small
                    leftPadding: Theme.spacing
                }
            }
            Waiting {
                visible: message.running
                anchors.verticalCenter: parent.verticalCenter
                text: message.encoding >= 0 ? qsTr("Looking at the picture… %1 %").arg(Math.round(100 * message.encoding))
                    : message.body !== "" ? message.speed
                    : App.modelState === "loading" ? qsTr("Loading the model…") : qsTr("Reading…")
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
                text: message.body
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
                Keys.onEscapePressed: message.editing = false
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
                    text: qsTr("Cancel")
                    hint: "Esc"
                    onClicked: message.editing = false
                }
                TextButton {
                    id: save
                    objectName: "saveEdit"
                    text: message.fromUser ? qsTr("Send") : qsTr("Keep")
                    hint: "Ctrl+Enter"
                    prominent: true
                    enabled: edited.text.trim() !== ""
                    onClicked: {
                        App.conversation.edit(message.index, edited.text)
                        message.editing = false  // this goes with it
                    }
                }
            }
        }
    }
}
