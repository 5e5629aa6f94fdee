// The conversations: search, open, rename, remove.
import QtQuick
import QtQuick.Controls.Basic
import QtQuick.Layouts
import Olivine

Rectangle {
    id: sidebar
    signal chosen()  // a conversation was opened
    signal export_wanted(var conversation, string title, string format)
    signal export_all_wanted()
    signal import_wanted()
    property alias search: search
    color: Theme.surface

    function open(index) {
        const id = App.conversations.id_at(index)
        if (!id)
            return
        App.conversation.open(id, list.itemAtIndex(index) ? list.itemAtIndex(index).message : 0)
        chosen()
    }
    // The conversation so many places further down.
    function step(by) {
        const at = App.conversations.index_of(App.conversation.id)
        const next = Math.max(0, Math.min(list.count - 1, at < 0 ? 0 : at + by))
        list.positionViewAtIndex(next, ListView.Contain)
        open(next)
    }

    ColumnLayout {
        anchors.fill: parent
        anchors.margins: Theme.spacing
        spacing: Theme.spacing

        RowLayout {
            spacing: Theme.spacing * 0.5
            Image {
                source: "qrc:/qt/qml/Olivine/icons/olivine.svg"
                sourceSize: Qt.size(26 * Theme.zoom, 26 * Theme.zoom)
                Layout.leftMargin: Theme.spacing * 0.5
            }
            Text {
                text: "Olivine"
                color: Theme.text
                font.pixelSize: Theme.fontSize * 1.15
                font.weight: Font.DemiBold
                Layout.fillWidth: true
                Layout.leftMargin: Theme.spacing * 0.5
            }
            IconButton {
                objectName: "listMenu"
                name: qsTr("Import and export")
                symbol: "more"
                onClicked: all.popup(0, height)
                StyledMenu {
                    id: all
                    StyledMenuItem {
                        text: qsTr("Import conversations…")
                        symbol: "import"
                        onTriggered: sidebar.import_wanted()
                    }
                    StyledMenuItem {
                        text: qsTr("Export all conversations…")
                        symbol: "export"
                        onTriggered: sidebar.export_all_wanted()
                    }
                }
            }
        }
        TextButton {
            objectName: "newConversation"
            text: qsTr("New conversation")
            symbol: "plus"
            hint: "Ctrl+N"
            Layout.fillWidth: true
            onClicked: {
                App.conversation.start_new()
                sidebar.chosen()
            }
        }
        Field {
            id: search
            objectName: "search"
            placeholderText: qsTr("Search everything")
            Layout.fillWidth: true
            rightPadding: clear.visible ? clear.width : Theme.spacing
            onTextChanged: App.conversations.search = text
            Keys.onShortcutOverride: event => event.accepted = event.key === Qt.Key_Escape && text !== ""
            Keys.onEscapePressed: text = ""
            Keys.onDownPressed: list.forceActiveFocus()
            onAccepted: if (list.count > 0) sidebar.open(0)
            IconButton {
                id: clear
                name: qsTr("End the search")
                symbol: "close"
                size: Theme.control * 0.8
                visible: search.text !== ""
                anchors.right: parent.right
                anchors.verticalCenter: parent.verticalCenter
                onClicked: search.text = ""
            }
        }
        Item {
            Layout.fillWidth: true
            Layout.fillHeight: true

            ListView {
                id: list
                objectName: "conversations"
                anchors.fill: parent
                model: App.conversations
                clip: true
                spacing: 2 * Theme.zoom
                reuseItems: true
                boundsBehavior: Flickable.StopAtBounds
                keyNavigationEnabled: true
                activeFocusOnTab: true
                ScrollBar.vertical: Scroll {}
                Accessible.role: Accessible.List
                Accessible.name: qsTr("Conversations")
                onActiveFocusChanged: if (activeFocus && !currentItem)
                    currentIndex = Math.max(0, App.conversations.index_of(App.conversation.id))
                Keys.onReturnPressed: sidebar.open(currentIndex)
                Keys.onEnterPressed: sidebar.open(currentIndex)
                Keys.onDeletePressed: App.conversations.remove(App.conversations.id_at(currentIndex))
                Keys.onPressed: event => {
                    const menu = event.key === Qt.Key_Menu || (event.key === Qt.Key_F10 && event.modifiers & Qt.ShiftModifier)
                    if (currentItem && (menu || event.key === Qt.Key_F2)) {
                        menu ? currentItem.show_menu() : currentItem.rename()
                        event.accepted = true
                    }
                }
                section.property: "section"
                section.delegate: Text {
                    required property string section
                    text: section
                    visible: section !== ""
                    height: visible ? implicitHeight : 0
                    color: Theme.muted
                    font.pixelSize: Theme.small
                    topPadding: Theme.spacing
                    bottomPadding: Theme.spacing * 0.5
                    leftPadding: Theme.spacing
                }
                delegate: ConversationItem {
                    width: list.width
                    focused: list.activeFocus && ListView.isCurrentItem
                    ListView.onPooled: end_editing()
                    onOpened: {
                        list.currentIndex = index
                        sidebar.open(index)
                    }
                    onExport_wanted: format => sidebar.export_wanted(conversationId, title, format)
                }
            }
            Text {
                anchors.horizontalCenter: parent.horizontalCenter
                y: Theme.spacing * 3
                width: parent.width - 2 * Theme.spacing
                horizontalAlignment: Text.AlignHCenter
                wrapMode: Text.Wrap
                visible: list.count === 0
                color: Theme.muted
                font.pixelSize: Theme.small
                textFormat: Text.PlainText
                text: App.conversations.searching ? qsTr("Searching…")
                    : App.conversations.search !== "" ? qsTr("Nothing has “%1”.").arg(App.conversations.search)
                    : qsTr("What you talk about appears here.")
            }
        }
        Rectangle {
            objectName: "undoBar"
            visible: App.conversations.removed !== ""
            Layout.fillWidth: true
            implicitHeight: Theme.control
            radius: Theme.radius * 0.7
            color: Theme.raised
            Text {
                anchors { left: parent.left; right: undo.left; verticalCenter: parent.verticalCenter; leftMargin: Theme.spacing }
                text: qsTr("Removed “%1”").arg(App.conversations.removed)
                color: Theme.text
                elide: Text.ElideRight
                font.pixelSize: Theme.small
                textFormat: Text.PlainText
            }
            TextButton {
                id: undo
                objectName: "undoRemove"
                anchors.right: parent.right
                text: qsTr("Undo")
                onClicked: App.conversations.undo_remove()
            }
        }
    }
    Rectangle {
        anchors.right: parent.right
        width: 1
        height: parent.height
        color: Theme.border
    }
}
